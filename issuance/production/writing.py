"""What is written to a card of a profile, as plain commands in order; wrapping and sending is `personalise`'s.

The content goes as data groupings in GlobalPlatform STORE DATA to the applet, after the rules in
`card_io.applets.uec.personalisation`: everything may be repeated until FINISH, one block is one transaction, and a
personalisation session counts its blocks in one byte. Files are created in the profile's words, so a data group or a
key slot more needs no line here.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from card_io import globalplatform as gp
from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from card_io.applets.uec import personalisation as perso
from card_io.secret import Secret
from issuance.production.bundle import SW_OK
from issuance.production.profile import Access, CardProfile, KeyAlgorithm, KeySlot, KeyUse

BLOCKS_MAX = 256
SW_MORE = 0x6310
FIND_CODE = "find_applet"
"""Label of the step that finds a blank without the profile's code."""
ALGORITHMS = {KeyAlgorithm.EC_P256: layout.KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384: layout.KeyAlgorithm.EC_P384}
USES = {
    KeyUse.SIGN: layout.KeyUse.SIGN,
    KeyUse.AGREE: layout.KeyUse.AGREE,
    KeyUse.INTERNAL_AUTHENTICATE: layout.KeyUse.INTERNAL_AUTHENTICATE,
}


@dataclass(frozen=True, slots=True)
class Write:
    """One plain command; its answer carries the public key of the slot `key`, or a signature of the slot `proves`."""

    command: CommandAPDU
    label: str
    expect: tuple[int, ...] = (SW_OK,)
    key: str = ""
    proves: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A data grouping that is answered: by the public key of the slot that it makes, or by its signature."""

    grouping: bytes
    makes: str = ""
    proves: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file to create and fill; a directory has no content."""

    parent: int
    fid: int
    content: bytes
    read: int = layout.Rule.ALWAYS
    directory: bool = False


def install(profile: CardProfile) -> Write:
    """Make the applet's instance from the module that the blank came with."""
    applet = profile.applet
    command = gp.install_for_install_and_make_selectable(
        applet.package_aid,
        applet.module_aid,
        applet.aid,
        privileges=gp.Privilege(int.from_bytes(layout.INSTALL_PRIVILEGES.ljust(3, b"\x00"), "big")),
        parameters=layout.INSTALL_PARAMETERS,
    )
    return Write(command, "install_applet")


def find_code(profile: CardProfile) -> Write:
    """See that the blank has the code the applet is made from; one without it answers 6A88."""
    return Write(gp.get_status(gp.Subset.LOAD_FILES, profile.applet.package_aid), FIND_CODE, (SW_OK, SW_MORE))


def data_files(profile: CardProfile, groups: Mapping[int, bytes]) -> list[File]:
    """The directories, and the data groups this card has."""
    directories = [
        File(layout.Fid.MF, layout.Fid.CIA, b"", directory=True),
        File(layout.Fid.MF, layout.Fid.UEC, b"", directory=True),
    ]
    return directories + [
        File(layout.Fid.UEC, group.fid, groups[group.number], _rule(profile, group.read))
        for group in profile.data_groups
        if group.number in groups
    ]


def closing_files(
    profile: CardProfile, *, certificates: Mapping[str, bytes], security_object: bytes, cia: Mapping[int, bytes]
) -> list[File]:
    """What can be written once the card's public keys are known."""
    files = [File(layout.Fid.CIA, key.certificate_fid, certificates[key.name]) for key in profile.keys]
    files.append(File(layout.Fid.UEC, profile.security_object_fid, security_object))
    return files + [
        File(layout.Fid.MF if fid == layout.Fid.DIR else layout.Fid.CIA, fid, content) for fid, content in cia.items()
    ]


def file_groupings(files: Iterable[File], block_bytes: int) -> Iterator[bytes]:
    """The data groupings that create and fill the files."""
    for file in files:
        yield _create(file)
        yield from _fill(file, block_bytes)


def pin_groupings(profile: CardProfile, values: Mapping[str, Secret]) -> Iterator[bytes]:
    """The data groupings that set every PIN of the profile."""
    references = {pin.name: pin.reference for pin in profile.pins}
    for pin in profile.pins:
        unblocked_by = references.get(pin.unblocked_by, 0)
        head = bytes([pin.reference, pin.tries, pin.min_digits, pin.max_digits, unblocked_by, layout.PinFlag.NONE])
        yield tlv.encode_dgi(perso.DGI_SET_PIN, head + values[pin.name].reveal())


def sessions(
    profile: CardProfile, groupings: Iterable[bytes], *, block_bytes: int, label: str, asked: Sequence[Asked] = ()
) -> list[Write]:
    """The groupings, then what the card has to answer, in as many personalisation sessions as their blocks need."""
    blocks = [(perso.P1_DGI, block, Asked(b"")) for block in perso.pack(groupings, block_bytes=block_bytes)]
    blocks += [(perso.P1_DGI_ANSWER, one.grouping, one) for one in asked]
    writes: list[Write] = []
    for start in range(0, len(blocks), BLOCKS_MAX):
        session = blocks[start : start + BLOCKS_MAX]
        writes.append(Write(gp.install_for_personalization(profile.applet.aid), label))
        for number, (p1, block, one) in enumerate(session):
            last = perso.P1_LAST if number == len(session) - 1 else 0
            command = CommandAPDU(0x80, 0xE2, p1 | last, number, block, 256 if one.grouping else None)
            step = "make_keys" if one.grouping else label
            writes.append(Write(command, step, key=one.makes, proves=one.proves))
    return writes


def make_keys(profile: CardProfile, keys: Iterable[KeySlot]) -> list[Asked]:
    """Have the card make key pairs; each answers with its public key."""
    return [Asked(_generate(profile, key), makes=key.name) for key in keys]


def prove_keys(profile: CardProfile, challenges: Mapping[str, bytes]) -> list[Asked]:
    """Have keys sign a challenge each, by slot: whoever answers holds them, and is the one who made them."""
    return [
        Asked(perso.prove_key(profile.key(slot).reference, challenge), proves=slot)
        for slot, challenge in challenges.items()
    ]


def finish_grouping() -> bytes:
    """The data grouping that closes the applet: nothing but PINs can be changed after it."""
    return perso.finish()


def digest(content: bytes) -> str:
    """SHA-256 in hex, as the journal keeps it."""
    return hashlib.sha256(content).hexdigest()


def _create(file: File) -> bytes:
    descriptor = perso.DESCRIPTOR_DF if file.directory else perso.DESCRIPTOR_EF
    head = file.parent.to_bytes(2, "big") + file.fid.to_bytes(2, "big") + bytes([descriptor])
    return tlv.encode_dgi(
        perso.DGI_CREATE_FILE, head + len(file.content).to_bytes(2, "big") + bytes([file.read, layout.Rule.NEVER])
    )


def _fill(file: File, block_bytes: int) -> Iterator[bytes]:
    room = (
        block_bytes - 7 if block_bytes - 3 < 0xFF else block_bytes - 9
    )  # the grouping's header, identifier and offset
    for offset in range(0, len(file.content), room):
        place = file.fid.to_bytes(2, "big") + offset.to_bytes(2, "big")
        yield tlv.encode_dgi(perso.DGI_WRITE_FILE, place + file.content[offset : offset + room])


def _generate(profile: CardProfile, key: KeySlot) -> bytes:
    rule = profile.pin(key.pin).reference if key.pin else layout.Rule.ALWAYS
    return tlv.encode_dgi(
        perso.DGI_GENERATE_KEY, bytes([key.reference, ALGORITHMS[key.algorithm], rule, USES[key.use]])
    )


def _rule(profile: CardProfile, access: Access) -> int:
    """The access rule on the card: 00, or the number of the PIN."""
    return layout.Rule.ALWAYS if access is Access.ALWAYS else profile.pin(access.value).reference
