"""Whether the chip in the reader may become the card of a job: refused by name, whatever kind of card it is."""

from issuance.production import asking
from issuance.production.asking import Talk, note
from issuance.production.bundle import RecordKind
from issuance.production.errors import CardAlreadyActive, CardScrapped, ChipTaken, WrongCard
from issuance.production.job import CardJob
from issuance.production.journal import Journal

WRITES_MAX = 5
"""A card that has been begun this often is scrapped: something is wrong with it."""


def admit(job: CardJob, journal: Journal, chip_id: str) -> Talk[None]:
    """Raises `CardAlreadyActive`, `ChipTaken` or `WrongCard`."""
    known = yield from asking.who_is(chip_id)
    if known is not None and known.state.upper() == "ACTIVE":
        raise CardAlreadyActive(known.card_number)
    if known is not None and known.card_number != job.card_number:
        raise ChipTaken(chip_id, known.card_number, known.state, known.batch_number)
    claimed = journal.claimed_chip
    if claimed is not None and claimed != chip_id:
        raise WrongCard(claimed, chip_id)


def begin(job: CardJob, journal: Journal, chip_id: str, *, cplc: bytes = b"") -> Talk[None]:
    """Bind the chip to the card, once it was found true; give up on one that was begun too often.

    Its production record is kept where its next session may be foretold: by that it is known when it comes back.
    """
    if journal.writes >= WRITES_MAX:
        yield from scrap(job, chip_id, "it was begun too often")
    if journal.claimed_chip is None:
        record = {"cplc": cplc.hex()} if cplc else {}
        yield from note(RecordKind.CHIP_CLAIMED, chip_id=chip_id, **record)


def scrap(job: CardJob, chip_id: str, reason: str) -> Talk[None]:
    """Give the chip up; raises `CardScrapped`."""
    yield from note(RecordKind.SCRAPPED, chip_id=chip_id, reason=reason)
    raise CardScrapped(job.card_number, reason)
