"""Inspection: a second, independent look at a written card; only its evidence makes a card PERSONALISED.

A fresh connection, the checks that any terminal makes, and on top of them what only the office knows: that the data
groups are the prepared ones, that the certified keys are those the chip made, that the transport PINs open what they
should and no try is missing. Two round trips.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from issuance.production.anchors import Anchors
from issuance.production.asking import Talk, note, pins, progress
from issuance.production.bundle import PinsWanted, RecordKind
from issuance.production.chip import chip_number, require_chip
from issuance.production.errors import CardLocked, CardRefused, InspectionFailed
from issuance.production.foreign import CARD_LOCK, numbered, wanting
from issuance.production.job import InspectionJob, Random
from issuance.production.judge import CardReport, judge
from issuance.production.observation import Observation
from issuance.production.observe import observe
from issuance.production.profile import CardProfile

STAGES = 2


def inspect(
    job: InspectionJob, profile: CardProfile, anchors: Anchors, *, now: datetime, random: Random, after: int = 0
) -> Talk[CardReport]:
    """Inspect the card in the reader; the report, once INSPECTED is recorded.

    `after` is how many steps of progress went before this.
    Raises `WrongCard` for another chip, `InspectionFailed` with the first check that does not hold (recorded as
    SCRAPPED first: such a card is spoiled).
    """
    yield from progress(after, after + STAGES, "inspect")
    names = {pin.name: pin.transport_digits for pin in profile.pins if pin.chosen_by_holder}
    transport = yield from pins(PinsWanted(job.card_number, names))
    try:
        with wanting(numbered(job.card_number)):
            observation = yield from observe(profile, random=random, pins=transport, chip_id=job.chip_id)
    except CardLocked as error:
        with wanting(numbered(job.card_number)):  # it may be another card that is locked
            require_chip(job.chip_id, (yield from chip_number(profile.secure_channel.isd_aid)))
        yield from _fail(job, CARD_LOCK, str(error))
    except CardRefused as error:
        yield from _fail(job, error.label, f"the card answers {error.sw:04X}")
        raise
    yield from progress(after + 1, after + STAGES, "inspect")
    report = judge(observation, profile, anchors, now=now)
    for finding in report.failures:
        yield from _fail(job, finding.check, finding.reason)
    for check, reason in _differences(job, profile, observation):
        yield from _fail(job, check, reason)
    yield from note(
        RecordKind.INSPECTED,
        chip_id=observation.chip_id,
        checks=[finding.check for finding in report.findings],
        files={f"{fid:04X}": hashlib.sha256(content).hexdigest() for fid, content in sorted(observation.files.items())},
    )
    yield from progress(after + STAGES, after + STAGES, "inspected")
    return report


def _fail(job: InspectionJob, check: str, reason: str) -> Talk[None]:
    yield from note(RecordKind.SCRAPPED, chip_id=job.chip_id, reason=f"{check}: {reason}")
    raise InspectionFailed(check, reason)


def _differences(job: InspectionJob, profile: CardProfile, observation: Observation) -> list[tuple[str, str]]:
    """Where the card differs from what the office prepared and recorded."""
    return [
        *_data_differences(job, profile, observation),
        *_key_differences(job, profile, observation),
        *(
            ("pins", f"{pin.name} has lost tries")
            for pin in profile.pins
            if pin.tries_told and observation.pins[pin.reference].tries_left != pin.tries
        ),
    ]


def _data_differences(job: InspectionJob, profile: CardProfile, observation: Observation) -> Iterator[tuple[str, str]]:
    for group in profile.data_groups:
        if observation.files.get(group.fid, b"") != job.data_groups.get(group.number, b""):
            yield "data", f"data group {group.name} is not the prepared one"


def _key_differences(job: InspectionJob, profile: CardProfile, observation: Observation) -> Iterator[tuple[str, str]]:
    for key in profile.keys:
        certificate = x509.load_der_x509_certificate(observation.files[key.certificate_fid])
        public_key = certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        if public_key != job.public_keys.get(key.name):
            yield f"certificate:{key.name}", "it certifies another key than the chip made"
        if key.name not in observation.proofs:
            yield f"proof:{key.name}", "the key was not challenged"
