"""An outside bureau's order at full size: its file, its results, its answer; each beside what it costs bare.

One office on PostgreSQL (fsync on) with its vault in the same process; the bureau is a program that makes key pairs and
proofs and no cards. Floors, over as many cards: an order is written beside the wrapping of its chips' keys alone,
results are taken beside the bare check of the proofs in them, an answer is made beside its bare signatures. `memory` is
by how much the process grew over the whole way.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from issuance.bureau.order import CardOrder, ChipKeys
from issuance.bureau.records import FileKind, Header, RecordReader, Tag, checked
from issuance.bureau.reply import Made, MadeKey, Word, proof_challenge
from issuance.bureau.sealed import opened_order, signing
from issuance.bureau.standin import identity
from issuance.bureau.standin.chips import cplc_of
from issuance.keys.port import BureauKeyRequest, KeyPurpose, KeyRef
from issuance.production.profile import CardProfile
from scripts.benchmarks.figure import Figure, seconds
from scripts.benchmarks.preparation import _APPLICATIONS, _BATCH, _CARDS
from scripts.benchmarks.server import durable_server
from tests.flow.test_bureau_life import answer
from tests.support.bureau_office import BureauOffice, open_bureau_office
from tests.support.postgres import Server
from uec.domain.bureau import Certificates
from uec.services import preparation
from uec.store.engine import make_engine, session_factory

CARDS, QUICK_CARDS = 50_000, 2_000
_ECDSA = ec.ECDSA(hashes.SHA256())


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """One order of a whole batch, from its file to the answer with the certificates."""
    cards = QUICK_CARDS if quick else CARDS
    with durable_server(Server) as server, tempfile.TemporaryDirectory(prefix="uec-") as folder:
        engine = make_engine(server.dsn(server.migrated()))
        try:
            bureau = open_bureau_office(session_factory(engine), Path(folder), blanks=2 * cards)
            yield from _whole_way(bureau, cards)
        finally:
            engine.dispose()


def _whole_way(bureau: BureauOffice, cards: int) -> Iterator[Figure | str]:
    order_id = bureau.draw(_batch(bureau, cards), Certificates.ANSWER)
    bureau.approve(order_id)
    before = _megabytes()
    took = seconds(lambda: bureau.send(order_id))
    yield Figure("bureau.order", "cards/s", cards / took, cards / _wrapped(bureau, cards))
    maker = Maker(bureau, bureau.office.desk.bench.profile)
    acknowledgement, results = maker.work()
    taken = seconds(lambda: bureau.take(acknowledgement))
    yield Figure("bureau.acknowledgement", "cards/s", cards / taken)
    took = seconds(lambda: bureau.take(results))
    yield Figure("bureau.results", "cards/s", cards / took, cards / seconds(maker.prove))
    took = seconds(lambda: answer(bureau, order_id))
    slots = len(maker.profile.keys)
    yield Figure(
        "bureau.answer", "certificates/s", cards * slots / took, cards * slots / _signed(bureau, cards * slots)
    )
    yield Figure("bureau.memory", "MB", _megabytes() - before)


def _batch(bureau: BureauOffice, cards: int) -> int:
    """A released and prepared batch of so many cards."""
    bench = bureau.office.desk.bench
    with bureau.office.sessions() as session:
        batch_id = int(session.execute(text(_BATCH), {"cards": cards}).scalar_one())
        session.execute(text(_APPLICATIONS), {"cards": cards, "batch": batch_id})
        session.execute(text(_CARDS), {"cards": cards, "batch": batch_id})
        session.execute(text("UPDATE batch SET state = 'RELEASED' WHERE id = :batch"), {"batch": batch_id})
        for state in ("CHECKING", "CHECKED", "APPROVED"):
            session.execute(text("UPDATE application SET state = :state"), {"state": state})
        session.execute(text("ANALYZE card, application"))
        session.commit()
        preparation.prepare(
            session, batch_id, profile=bench.profile, issuer="Region", signer=bench.document_signer,
            now=bureau.office.clock(),
        )  # fmt: skip
    return batch_id


@dataclass
class Maker:
    """The bureau: reads an order and reports keys for every card of it; keeps what proves a few of them."""

    bureau: BureauOffice
    profile: CardProfile
    proofs: list[tuple[ec.EllipticCurvePublicKey, bytes, bytes]] = field(default_factory=list)
    made: int = 0

    def work(self) -> tuple[Path, Path]:
        """Acknowledge the order and report all of its cards."""
        me, folder = identity.load(self.bureau.folder / "bureau"), self.bureau.desk
        path = next((folder / "in").glob("*.p7m"))
        with opened_order(path, recipient=me.recipient, key=me.decryption_key, signer=me.office) as stream:
            found = checked(stream)
            counts = found.counts
            word = Word(accepted=True, reason="", cards=counts[Tag.CARD], chips=counts[Tag.CHIP])
            said = self._write("1", found, FileKind.ACKNOWLEDGEMENT, lambda add: add(Tag.WORD, word.encode()))

            def report(add: Callable[[Tag, bytes], None]) -> None:
                for made in self._cards(RecordReader(stream), found.digest, int(found.header.terms["kvn"])):
                    add(Tag.MADE, made.encode())

            return said, self._write("2", found, FileKind.RESULTS, report)

    def _write(
        self, name: str, order: RecordReader, kind: FileKind, fill: Callable[[Callable[[Tag, bytes], None]], None]
    ) -> Path:
        now, head = self.bureau.office.clock(), order.header
        said = Header(kind, head.order, head.bureau, head.batch, head.profile, now, int(name), answers=order.digest)
        path = self.bureau.folder / f"{name}.p7s"
        signer = identity.load(self.bureau.folder / "bureau").signer
        with path.open("wb") as out, signing(out.write, said, signer=signer, now=now) as writer:
            fill(writer.add)
            writer.close()
        return path

    def _cards(self, reader: RecordReader, order_digest: bytes, kvn: int) -> Iterator[Made]:
        """Chips come before cards; a card is made on the next one."""
        with tempfile.TemporaryFile() as chips:
            size = 0
            for tag, body in reader.records():
                if tag is Tag.CHIP:
                    chip = ChipKeys.decode(body)
                    row = chip.chip_id + chip.kdd + b"".join(chip.keys.new_check_values)
                    size = len(row)
                    chips.write(row)
                    continue
                if not self.made:
                    chips.seek(0)
                row, number = chips.read(size), CardOrder.decode(body).number
                self.made += 1
                values = row[20:]
                keys = {slot.name: self._key(order_digest, number, slot.name) for slot in self.profile.keys}
                cplc = cplc_of(row[:10], row[10:20])
                yield Made(number, row[:10], cplc, kvn, (values[:3], values[3:6], values[6:]), keys)

    def _key(self, order_digest: bytes, number: str, slot: str) -> MadeKey:
        key, challenge = ec.generate_private_key(ec.SECP256R1()), proof_challenge(order_digest, number, slot)
        public, proof = key.public_key(), key.sign(challenge, _ECDSA)
        if len(self.proofs) < 1000:
            self.proofs.append((public, challenge, proof))
        spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return MadeKey(spki, proof)

    def prove(self) -> None:
        """The floor of taking results: as many bare checks of proofs."""
        count = self.made * len(self.profile.keys)
        for number in range(count):
            public, challenge, proof = self.proofs[number % len(self.proofs)]
            public.verify(proof, challenge, _ECDSA)


def _wrapped(bureau: BureauOffice, cards: int) -> float:
    """Seconds to wrap as many chips' keys for the bureau."""
    vault = bureau.office.desk.bench.vault
    transport, master = vault.active(KeyPurpose.BUREAU_TRANSPORT), vault.active(KeyPurpose.CARD_MASTER)
    blank = KeyRef(KeyPurpose.BLANK_TRANSPORT, 1)
    requests = [BureauKeyRequest(blank, master, serial.to_bytes(10, "big"), "kdf3") for serial in range(1000)]

    def wrap() -> None:
        for _ in range(0, cards, len(requests)):
            vault.bureau_keys(transport, requests)

    return seconds(wrap)


def _signed(bureau: BureauOffice, certificates: int) -> float:
    """Seconds to sign as many certificates' bytes."""
    signer, messages = bureau.office.desk.bench.ca.signer, [bytes(700)] * 1000

    def sign() -> None:
        for _ in range(0, certificates, len(messages)):
            signer.sign(messages)

    return seconds(sign)


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
