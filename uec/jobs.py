"""What the office does by itself: each job, its rhythm, and the services it calls.

The scheduler reads the rhythms, workers do the work. A job may run twice and be killed anywhere: its services are
transactions that find nothing left to do.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session, sessionmaker

from issuance.errors import IssuanceError
from issuance.keys.port import Vault
from uec.domain.actors import system_actor
from uec.domain.errors import UecError
from uec.services import (
    authority,
    batches,
    cards,
    checks,
    key_rotation,
    key_sweep,
    ocsp_answers,
    ocsp_signers,
    phases,
    preparation,
    production_office,
    publication,
    quality,
    rules,
    schedule,
)
from uec.services.applicant_secret import RandomBytes
from uec.services.audit import sign_head
from uec.services.rows import present
from uec.settings import Settings
from uec.store import queue
from uec.store.tables import Batch

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tools:
    """What jobs work with; `gateway` asks the registers, `clock` gives the present moment.

    With `spread`, work that comes in parts is handed over to all workers instead of being done by one.
    """

    settings: Settings
    sessions: sessionmaker[Session]
    vault: Vault
    gateway: checks.Gateway
    clock: Callable[[], datetime]
    random: RandomBytes
    spread: bool = False


@dataclass(frozen=True)
class Job:
    """A job by name: its rhythm (of the day, from midnight UTC), what it does, in words, and the work itself."""

    every: timedelta
    title: str
    work: Callable[[Tools], str]


def run_checks(tools: Tools) -> str:
    """Ask registers until nothing is due."""
    policy = tools.settings.policy.at(tools.clock())
    asked = settled = 0
    with tools.sessions() as session:
        started = checks.start_checks(session, now=tools.clock())
        while True:
            run = checks.run_checks(session, tools.gateway, policy=policy, now=tools.clock())
            if not run.asked:
                return f"started {started}, asked {asked}, settled {settled}"
            asked += run.asked
            settled += run.matched + run.mismatched


def prepare_batches(tools: Tools) -> str:
    """Make the data of every released batch, or hand over to the workers what none of them has yet."""
    with tools.sessions() as session:
        if tools.spread:
            given = [
                preparation.hand_over(session, batch_id, quiet=preparation.QUIET)
                for batch_id, _ in preparation.waiting(session)
            ]
            session.commit()
            return f"handed over {sum(given)} parts"
        prepared, trouble = 0, []
        for batch_id, _ in preparation.waiting(session):
            recipe = recipe_of(session, tools, batch_id)
            try:
                prepared += preparation.prepare(
                    session,
                    batch_id,
                    profile=recipe.profile,
                    issuer=recipe.issuer,
                    signer=recipe.signer,
                    now=tools.clock(),
                )
            except preparation.UnfitCards as error:
                prepared += error.prepared
                trouble.append(str(error))  # the next batch does not wait for a person to look at this one
    return "; ".join([f"prepared {prepared}", *trouble])


def recipe_of(session: Session, tools: Tools, batch_id: int) -> preparation.Recipe:
    """What a batch is prepared by: its profile, the issuer's name, and the document signer."""
    name = present(session, Batch, batch_id).profile
    signer = production_office.document_signer(session, tools.vault)
    return preparation.Recipe(rules.card_profile(tools.settings, name), tools.settings.pki.organisation, signer)


def publish(tools: Tools) -> str:
    """Publish what terminals fetch, where something changed or time runs out."""
    now = tools.clock()
    policy = tools.settings.policy.at(now)
    said = []
    with tools.sessions() as session:
        if publication.any_crl_due(session, policy=policy, now=now):
            ca = authority.open_authority(session, tools.vault, settings=tools.settings)
            said += publication.publish_due(session, ca, policy=policy, now=now)
        if publication.stop_list_due(session, policy=policy, now=now):
            signer = production_office.document_signer(session, tools.vault)
            said.append(f"stop-list {publication.publish_stop_list(session, signer, policy=policy, now=now)}")
    return ", ".join(said) or "nothing changed"


def sign_answers(tools: Tools) -> str:
    """Sign answers about certificates ahead: what is void first, then what is old; renew the signer in time."""
    now = tools.clock()
    life = timedelta(hours=tools.settings.policy.at(now).ocsp_hours)
    with tools.sessions() as session:
        said = [
            f"signer until {until:%Y-%m-%d}"
            for until in ocsp_signers.renew_due(
                session, tools.vault, settings=tools.settings, now=now, random=tools.random
            )
        ]
        delegates = ocsp_signers.delegates(session, tools.vault, now=now)
        signed = ocsp_answers.sign_due(session, delegates, life=life, now=now)
    return ", ".join(said + ([f"signed {signed}"] if signed else [])) or "nothing due"


def sign_audit(tools: Tools) -> str:
    """Put a signature under the present ends of the audit chains."""
    with tools.sessions() as session:
        head = sign_head(session, tools.vault, now=tools.clock())
    return "nothing new" if head is None else f"head {head.id}"


def plan(tools: Tools) -> str:
    """Plan what has been approved since yesterday."""
    now = tools.clock()
    with tools.sessions() as session:
        made = batches.plan(
            session,
            actor=system_actor("scheduler"),
            rules=rules.batch_rules(
                tools.settings,
                today=tools.settings.policy.day(now),
                book=phases.book(session, tools.settings.policy),
            ),
            now=now,
        )
    return (
        f"{made.cards} cards in {len(made.batches)} batches, {made.late} late, {sum(made.unplaced.values())} unplaced"
    )


def expire(tools: Tools) -> str:
    """End the cards whose last day of validity is over."""
    now = tools.clock()
    with tools.sessions() as session:
        return f"expired {cards.expire_due(session, today=tools.settings.policy.day(now), now=now)}"


def sweep(tools: Tools) -> str:
    """Forget old runs, and jobs of the queue that ended as long ago."""
    with tools.sessions() as session:
        runs = schedule.sweep(session, now=tools.clock())
        return f"forgot {runs} runs, {queue.forget_finished(session)} jobs"


def sweep_keys(tools: Tools) -> str:
    """Look over every certified key again."""
    known, missing = authority.weak_keys(tools.settings)
    with tools.sessions() as session:
        swept = key_sweep.sweep_keys(session, weak_keys=known, missing=missing, now=tools.clock())
    said = f"looked at {swept.looked_at} certificates, {len(swept.findings)} findings"
    return f"{said}; {missing}" if missing else said


def note_keys(tools: Tools) -> str:
    """Note versions, uses and periods of the vault's keys for the office's page; name those that end."""
    with tools.sessions() as session:
        ending = key_rotation.refresh(session, tools.vault, now=tools.clock())
    return "; ".join(["noted", *ending])


def judge_quality(tools: Tools) -> str:
    """Quarantine every reader, station, chip lot and operator that has left the band."""
    now = tools.clock()
    with tools.sessions() as session:
        made = quality.evaluate(session, band=tools.settings.policy.at(now).quality_band, now=now)
    return f"{len(made)} quarantined"


JOBS: Mapping[str, Job] = {
    "checks": Job(timedelta(seconds=5), "ask the registers about applications", run_checks),
    "prepare": Job(timedelta(seconds=5), "make the data of released batches", prepare_batches),
    "publish": Job(timedelta(seconds=15), "publish revocation list and stop-list", publish),
    "ocsp": Job(timedelta(seconds=15), "sign answers about certificates ahead", sign_answers),
    "quality": Job(timedelta(seconds=15), "quarantine what fails too often", judge_quality),
    "audit-head": Job(timedelta(minutes=1), "sign the heads of the audit chains", sign_audit),
    "plan": Job(timedelta(days=1), "plan approved applications", plan),
    "expire": Job(timedelta(days=1), "end cards whose validity is over", expire),
    "keys": Job(timedelta(hours=1), "note what the vault tells about its keys", note_keys),
    "key-sweep": Job(timedelta(days=1), "look over every certified key", sweep_keys),
    "sweep": Job(timedelta(days=1), "forget old runs", sweep),
}


def do(job: str, tools: Tools) -> str:
    """Do a job by its name; returns what it did or, in words, why it could not."""
    known = JOBS.get(job)
    if known is None:
        return f"failed: there is no job {job} in this version"
    try:
        outcome = known.work(tools)
    except (UecError, IssuanceError) as error:
        _log.warning("job %s failed: %s", job, error)
        return f"failed: {error}"
    _log.info("job %s: %s", job, outcome)
    return outcome
