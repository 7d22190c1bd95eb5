"""Work left on every desk when the main job is over, so that the one who opens the pages has something to do."""

from uec.demo.desks import Desks
from uec.domain.lifecycle import Route
from uec.services.views import Receipt

TO_HAND_OVER, TO_WRITE, TO_RELEASE, TO_DECIDE = 1, 1, 2, 2


def leave_work(job: Desks) -> list[str]:
    """Leave one card to hand over, one to write, a batch to release, applications to decide; returns what to try."""
    said = []
    approved = job.approve_new(TO_HAND_OVER)
    (made,) = job.personalise(job.plan())
    said.append(
        f"as operator2 hand card {job.number_of(made)} over: put it into a reader at the card tray "
        f"(application {approved[0].number})"
    )
    approved = job.approve_new(TO_WRITE)
    job.plan()
    job.spare_blank()
    said.append(f"as producer write the card of application {approved[0].number}: put a blank into a reader")
    job.approve_new(TO_RELEASE)
    said += [f"as releaser release batch {number}" for number in job.plan_only()]
    undecided = job.submit_new(TO_DECIDE, Route.WEB)
    job.await_checks()
    said.append(f"as officer decide on applications {', '.join(receipt.number for receipt in undecided)}")
    said.append(_status(undecided[0]))
    return said


def _status(receipt: Receipt) -> str:
    return f"follow application {receipt.number} on the status page with the secret {receipt.secret}"
