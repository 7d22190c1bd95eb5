"""A blank in, an inspected card out: personalisation and inspection as one piece of work, five round trips."""

from collections.abc import Callable
from datetime import datetime

from issuance.production import inspect as inspection
from issuance.production import personalise as writing
from issuance.production.anchors import Anchors
from issuance.production.asking import Talk
from issuance.production.inspect import inspect
from issuance.production.job import CardJob, InspectionJob, Random
from issuance.production.judge import CardReport
from issuance.production.personalise import personalise
from issuance.production.profile import CardProfile


def make(
    job: CardJob, profile: CardProfile, anchors: Anchors, *, clock: Callable[[], datetime], random: Random
) -> Talk[CardReport]:
    """Personalise the card in the reader, then inspect it over a fresh connection.

    `clock` gives the moment of the inspection, which is after that of the certificates. Raises what both raise.
    """
    made = yield from personalise(job, profile, random=random, stages=writing.STAGES + inspection.STAGES)
    order = InspectionJob(made.card_number, made.chip_id, job.data_groups, made.public_keys)
    return (yield from inspect(order, profile, anchors, now=clock(), random=random, after=writing.STAGES))
