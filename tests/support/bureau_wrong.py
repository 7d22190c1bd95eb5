"""What no bureau may send: files by name, each with the word that the office refuses it with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from io import BytesIO

from card_io import tlv
from issuance.bureau.records import Header, RecordReader, Tag
from issuance.bureau.reply import Finished, Made, NotMade, Shipped, Spoiled
from issuance.bureau.sealed import opened_reply
from issuance.bureau.signing import OwnKey, SigningWriter
from issuance.bureau.standin import identity
from issuance.bureau.standin.faults import strange_signer
from issuance.pki import der
from tests.support.bureau import partner, signed_file
from tests.support.bureau_office import BureauOffice

NOBODYS = "9643609999999997"
Records = list[tuple[Tag, bytes]]


@dataclass
class Good:
    """A bureau's right results, taken apart."""

    content: bytes
    header: Header
    records: Records
    signer: OwnKey

    @property
    def made(self) -> list[Made]:
        """The cards in it."""
        return [Made.decode(body) for tag, body in self.records if tag is Tag.MADE]

    def signed(self, records: Records | None = None, **changes: object) -> bytes:
        """The same with other records, or another header, well signed."""
        head = replace(self.header, **changes)  # type: ignore[arg-type]
        return signed_file(head, self.records if records is None else records, self.signer)

    def with_first(self, **changes: object) -> bytes:
        """The same with its first card changed."""
        first, *others = self.made
        changed = replace(first, **changes)  # type: ignore[arg-type]
        rest = [(tag, body) for tag, body in self.records if tag is not Tag.MADE]
        return self.signed([(Tag.MADE, one.encode()) for one in (changed, *others)] + rest)

    def beside(self, tag: Tag, body: bytes) -> bytes:
        """The same with one record more."""
        return self.signed([*self.records, (tag, body)])


def taken_apart(bureau: BureauOffice, content: bytes) -> Good:
    """Right results of the stand-in."""
    signer = identity.load(bureau.folder / "bureau").signer
    with opened_reply(BytesIO(content), signer.certificate) as stream:
        reader = RecordReader(stream)
        records = list(reader.records())
    return Good(content, reader.header, records, signer)


def _of_a_stranger(good: Good) -> bytes:
    return signed_file(good.header, good.records, partner("ec-p256", identity.SIGNATURE, "Stranger").signer)


def _by_another_key(good: Good) -> bytes:
    return signed_file(good.header, good.records, strange_signer(good.signer))


def _one_bit(good: Good) -> bytes:
    """One bit of the signature's own number is another."""
    return good.content[:-20] + bytes([good.content[-20] ^ 1]) + good.content[-19:]


def _huge_string(good: Good) -> bytes:
    """A content of four gigabytes, as it says."""
    place = good.content.index(der.oid("1.2.840.113549.1.7.1"))
    return good.content[: place + 11] + b"\xa0\x80\x04\x84\xff\xff\xff\xff" + bytes(100)


def _huge_record(good: Good) -> bytes:
    """One record of a million bytes and more, which no writer of ours writes."""
    out = BytesIO()
    signed = SigningWriter(out.write, good.signer, now=good.header.made_at)
    for tag, body in ((Tag.HEADER, good.header.encode()), (Tag.NOT_MADE, bytes(1 << 20))):
        signed.write(tlv.encode(tag, body))
    signed.close()
    return out.getvalue()


def _endless_number(good: Good) -> bytes:
    return good.with_first(number="9" * 500_000)


def _shipment(number: str, seal: str, *cards: str) -> bytes:
    return Shipped(number, seal, cards).encode()


Wrong = Callable[[Good], bytes]
FILES: Mapping[str, tuple[Wrong, str]] = {
    "empty": (lambda good: b"", "cut-off"),
    "words": (lambda good: b"card;chip\n1;2\n", "not-cms"),
    "pdf": (lambda good: b"%PDF-1.7\n" + bytes(5000), "not-cms"),
    "cut-off": (lambda good: good.content[: len(good.content) * 2 // 3], "cut-off"),
    "head-alone": (lambda good: b"\x30\x80", "cut-off"),
    "longer": (lambda good: good.content + b"\0", "trailing-bytes"),
    "one-bit": (_one_bit, "wrong-signature"),
    "length-of-four-gigabytes": (lambda good: b"\x30\x84\xff\xff\xff\xff", "cut-off"),
    "string-of-four-gigabytes": (_huge_string, "cut-off"),
    "nested-endlessly": (lambda good: b"\x30\x80" * 50_000, "not-cms"),
    "record-of-a-megabyte": (_huge_record, "too-large"),
    "number-of-half-a-megabyte": (_endless_number, "unknown-card"),
    "stranger": (_of_a_stranger, "wrong-signer"),
    "another-key": (_by_another_key, "wrong-signature"),
    "another-bureau": (lambda good: good.signed(bureau="SOUTH"), "wrong-bureau"),
    "another-batch": (lambda good: good.signed(batch="B-999999"), "wrong-batch"),
    "another-profile": (lambda good: good.signed(profile="../../etc/passwd"), "wrong-profile"),
    "another-order": (lambda good: good.signed(order="BO-999999"), "unknown-order"),
    "another-order-file": (lambda good: good.signed(answers=bytes(32)), "wrong-order"),
    "from-next-year": (lambda good: good.signed(made_at=good.header.made_at + timedelta(days=366)), "wrong-clock"),
    "from-last-year": (lambda good: good.signed(made_at=good.header.made_at - timedelta(days=366)), "wrong-clock"),
    "nothing": (lambda good: good.signed([]), "nothing-reported"),
    "unknown-card": (lambda good: good.with_first(number=NOBODYS), "unknown-card"),
    "unknown-chip": (lambda good: good.with_first(chip_id=bytes(10)), "foreign-chip"),
    "one-chip-twice": (lambda good: good.with_first(chip_id=good.made[1].chip_id), "same-chip"),
    "one-card-twice": (lambda good: good.with_first(number=good.made[1].number), "reported-twice"),
    "made-and-not": (
        lambda good: good.beside(Tag.NOT_MADE, NotMade(good.made[0].number, "lost", "lost").encode()),
        "reported-twice",
    ),
    "made-and-spoiled": (
        lambda good: good.beside(Tag.SPOILED, Spoiled(good.made[0].chip_id, "bad", "bad").encode()),
        "same-chip",
    ),
    "finished-unasked": (
        lambda good: good.beside(Tag.FINISHED, Finished(good.made[0].number, good.made[0].chip_id).encode()),
        "reported-before",
    ),
    "sent-twice": (
        lambda good: good.beside(Tag.SHIPPED, _shipment("C-2", "S-2", good.made[0].number)),
        "sent-twice",
    ),
    "sent-unmade": (
        lambda good: good.signed([(Tag.SHIPPED, _shipment("C-2", "S-2", good.made[0].number))]),
        "sent-unmade",
    ),
    "sent-without-a-seal": (
        lambda good: good.signed([(Tag.SHIPPED, _shipment("C-2", "", good.made[0].number))]),
        "malformed",
    ),
    "nul-in-a-text": (
        lambda good: good.signed([(Tag.NOT_MADE, NotMade(good.made[0].number, "lost", "a\0b").encode())]),
        "malformed",
    ),
    "two-lines-for-a-name": (lambda good: good.signed(batch="B-1\nrefused: nothing"), "malformed"),
    "endless-name": (lambda good: good.signed(order="B" * 5000), "malformed"),
}
