"""The stand-in bureau's day: opens what came, works, reports; each file of the office once.

Folder: `in` (files from the office), `out` (files for it), `cards` (the chips), `work` (orders in hand), `done` (files
that were dealt with), `refused` (files that were not ours, with the reason beside).
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from issuance.bureau.answer import Closing
from issuance.bureau.errors import refused
from issuance.bureau.order import CardOrder
from issuance.bureau.records import FileKind, Header, RecordReader, Tag, checked
from issuance.bureau.reply import Finished, NotMade, Shipped, Word
from issuance.bureau.sealed import opened_order, signing
from issuance.bureau.standin import faults
from issuance.bureau.standin.faults import Fault, Results
from issuance.bureau.standin.identity import Identity
from issuance.bureau.standin.work import Workshop
from issuance.errors import IssuanceError
from issuance.production.errors import ProductionError
from issuance.production.profile import CardProfile

Clock = Callable[[], datetime]
ENVELOPED, SIGNED = ".p7m", ".p7s"


@dataclass
class StandIn:
    """A bureau under `code`; `profiles` gives a card profile by its name."""

    folder: Path
    code: str
    identity: Identity
    profiles: Callable[[str], CardProfile]
    clock: Clock
    random: Callable[[int], bytes]
    spoil: float = 0.0
    faults: Collection[Fault] = ()

    def run(self) -> Iterator[str]:
        """Deal with everything that lies in `in`; yields a sentence for each thing done."""
        for name in ("in", "out", "cards", "work", "done", "refused"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        yield from self._held_back()
        for path in sorted((self.folder / "in").glob(f"*{ENVELOPED}")):
            try:
                yield from self._take(path)
            except IssuanceError as error:
                path.replace(self.folder / "refused" / path.name)
                (self.folder / "refused" / f"{path.name}.txt").write_text(f"{error}\n", "utf-8")
                yield f"{path.name}: refused: {error}"
            else:
                path.replace(self.folder / "done" / path.name)

    def _take(self, path: Path) -> Iterator[str]:
        me = self.identity
        with opened_order(path, recipient=me.recipient, key=me.decryption_key, signer=me.office) as stream:
            found = checked(stream)
            if found.header.bureau != self.code:
                raise refused("not-for-us", f"the file is for the bureau {found.header.bureau}")
            if found.header.kind is FileKind.ORDER:
                yield from self._order(path, self._workshop(stream, found))
            elif found.header.kind is FileKind.ANSWER:
                closings = [Closing.decode(body) for _, body in RecordReader(stream).records()]
                yield from self._answer(found.header, closings)
            else:
                raise refused("other-kind", f"a file of the kind {found.header.kind} is no work for a bureau")

    def _workshop(self, stream: BinaryIO, found: RecordReader) -> Workshop:
        return Workshop.open(
            RecordReader(stream),
            found.digest,
            folder=self.folder,
            identity=self.identity,
            profile=self.profiles(found.header.profile),
            random=self.random,
        )

    @contextmanager
    def _reopened(self, order: str) -> Iterator[Workshop]:
        """An order that was taken before, opened again for more work."""
        path, me = self.folder / "done" / f"{order}{ENVELOPED}", self.identity
        if not path.exists():
            raise refused("not-for-us", f"no order {order} came here before")
        with opened_order(path, recipient=me.recipient, key=me.decryption_key, signer=me.office) as stream:
            yield self._workshop(stream, checked(stream))

    def _order(self, path: Path, shop: Workshop) -> Iterator[str]:
        declined = Fault.DECLINE in self.faults
        word = Word(not declined, "no capacity" if declined else "", len(shop.cards), len(shop.chips))
        head = self._header(shop, FileKind.ACKNOWLEDGEMENT, 1)
        self._write(f"{shop.header.order}-1-acknowledgement", head, [(Tag.WORD, word.encode())])
        said = "declined" if declined else "accepted"
        yield f"{path.name}: order {shop.header.order}, {len(shop.cards)} cards: {said}"
        if declined:
            return
        cards = shop.cards
        if Fault.LATE in self.faults:
            cards = cards[: (len(cards) + 1) // 2]
            (shop.folder / "late").touch()
        yield from self._make(shop, cards, 2)

    def _held_back(self) -> Iterator[str]:
        """Go on with orders of which half was held back at the run before."""
        for mark in sorted((self.folder / "work").glob("*/late")):
            mark.unlink()
            with self._reopened(mark.parent.name) as shop:
                waiting = [card for card in shop.cards if card.number not in shop.assigned]
                yield from self._make(shop, waiting, 3)

    def _make(self, shop: Workshop, cards: list[CardOrder], sequence: int) -> Iterator[str]:
        results = Results(self._header(shop, FileKind.RESULTS, sequence), [])
        blanks = shop.free_chips()
        for number, card in enumerate(cards):
            if Fault.NO_CARD in self.faults and number == len(cards) - 1:
                results.not_made.append(NotMade(card.number, "printer", "the card could not be printed"))
                continue
            chip = shop.chip_of(card) or next(blanks, None)
            while chip is not None and self.random(4) < round(self.spoil * 0xFFFFFFFF).to_bytes(4, "big"):
                results.spoiled.append(shop.spoil(chip, "no-answer", card.number))
                chip = next(blanks, None)
            if chip is None:
                results.not_made.append(NotMade(card.number, "no-blanks", "all blanks of the order are used up"))
                continue
            try:
                results.made.append(shop.make(card, chip))
            except ProductionError as error:
                results.spoiled.append(shop.spoil(chip, "failed", card.number))
                results.not_made.append(NotMade(card.number, "failed", str(error)))
        for fault in self.faults:
            faults.spoil(results, fault, order_digest=shop.digest)
        self._report(shop, results)
        yield (
            f"{shop.header.order}: {len(results.made)} made, {len(results.spoiled)} blanks spoiled, "
            f"{len(results.not_made)} not made"
        )

    def _report(self, shop: Workshop, results: Results) -> None:
        records = [(Tag.MADE, one.encode()) for one in results.made]
        records += [(Tag.SPOILED, one.encode()) for one in results.spoiled]
        records += [(Tag.NOT_MADE, one.encode()) for one in results.not_made]
        if shop.header.terms.get("certificates") != "answer" and results.made:
            records.append(self._consignment(shop, results.header.sequence, [one.number for one in results.made]))
        name = f"{shop.header.order}-{results.header.sequence}-results"
        self._write(name, results.header, records)
        if Fault.TWICE in self.faults:
            again = (self.folder / "out" / f"{name}{SIGNED}").read_bytes()
            (self.folder / "out" / f"{name}-again{SIGNED}").write_bytes(again)

    def _answer(self, header: Header, closings: list[Closing]) -> Iterator[str]:
        with self._reopened(header.order) as shop:
            by_number = {card.number: card for card in shop.cards}
            for closing in closings:
                shop.finish(by_number[closing.number], closing)
            numbers = [closing.number for closing in closings]
            sequence = header.sequence + 1
            records = [(Tag.FINISHED, Finished(one.number, one.chip_id).encode()) for one in closings]
            records.append(self._consignment(shop, sequence, numbers))
            name = f"{header.order}-{sequence}-finished"
            self._write(name, self._header(shop, FileKind.RESULTS, sequence), records)
            yield f"{header.order}: {len(closings)} finished"

    def _consignment(self, shop: Workshop, sequence: int, numbers: list[str]) -> tuple[Tag, bytes]:
        name = f"{shop.header.order}-{sequence}"
        return Tag.SHIPPED, Shipped(name, f"SEAL-{name}", tuple(numbers)).encode()

    def _header(self, shop: Workshop, kind: FileKind, sequence: int) -> Header:
        return replace(shop.header, kind=kind, sequence=sequence, answers=shop.digest, made_at=self.clock(), terms={})

    def _write(self, name: str, header: Header, records: list[tuple[Tag, bytes]]) -> None:
        signer, results = self.identity.signer, header.kind is FileKind.RESULTS
        if results and Fault.WRONG_SIGNATURE in self.faults:
            signer = faults.strange_signer(signer)
        buffer = BytesIO()
        with signing(buffer.write, header, signer=signer, now=self.clock()) as writer:
            for tag, body in records:
                writer.add(tag, body)
            if results and Fault.ALTERED_COUNT in self.faults:
                writer.counts[Tag.MADE] += 1
            writer.close()
        content = buffer.getvalue()
        if results and Fault.CUT_OFF in self.faults:
            content = content[: len(content) * 2 // 3]
        path = self.folder / "out" / f"{name}{SIGNED}"
        path.with_suffix(".new").write_bytes(content)
        path.with_suffix(".new").replace(path)
