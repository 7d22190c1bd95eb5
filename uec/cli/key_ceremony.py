"""`uec keys ceremony`, `divide` and `import-transport`: custodians at one table, each with their own part of a key."""

import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uec.cli.key_vault import algorithm_of, changing, purpose_of
from uec.cli.options import now, passphrase_files_option, read_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy.orm import Session

    from issuance.keys.ceremony import Ceremony
    from issuance.keys.custodians import Place
    from issuance.keys.port import KeyAlgorithm
    from issuance.keys.share_ceremony import ShareCeremony
    from issuance.keys.shares import Share

    Seen = Callable[[str, Place, str], None]

_protocol_option = click.option(
    "--protocol",
    "protocol_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    default=Path("key-ceremony.pdf"),
    show_default=True,
    help="Where the signed protocol is written (PDF); never over another one.",
)
_PROTOCOL_ROOM_BYTES = 1 << 16
_WORDS_A_ROW = 5


@click.command()
@click.option("--purpose", default="card-master", show_default=True, help="What the key is for.")
@click.option("--algorithm", default="aes-128", show_default=True, help="aes-128 or aes-256.")
@click.option("--components", type=click.IntRange(2, 3), default=2, show_default=True, help="How many custodians.")
@click.option("--shares", "by_shares", is_flag=True, help="From k of n shares (SLIP-39) instead of components.")
@_protocol_option
@passphrase_files_option
def ceremony(
    purpose: str,
    algorithm: str,
    components: int,
    by_shares: bool,  # noqa: FBT001 - click passes flags so
    protocol_file: Path,
    passphrase_files: tuple[Path, ...],
) -> None:
    """Put a master key together; each custodian enters one part, alone, with its check value.

    \b
    Examples:
      uec keys ceremony --components 3 --algorithm aes-256
      uec keys ceremony --shares --purpose pin-master --algorithm aes-256

    Components are all needed; of shares as many as the division asks for (`uec keys divide` makes them). A part that
    was mistyped is entered again. Who ever held a part is never accepted for another one, in any later ceremony either,
    whichever way the key was divided. The protocol names people and check values, and is signed by the audit key.
    """
    from issuance.keys.ceremony import Ceremony  # noqa: PLC0415
    from issuance.keys.share_ceremony import ShareCeremony  # noqa: PLC0415
    from uec.domain.actors import system_actor  # noqa: PLC0415
    from uec.services import key_ceremonies  # noqa: PLC0415

    wanted, kind = purpose_of(purpose), algorithm_of(algorithm)
    actor = system_actor("key ceremony")
    with _protocol(protocol_file) as write, changing(passphrase_files) as (vault, session):
        held: Ceremony | ShareCeremony
        history, seen = key_ceremonies.history(session), _noting(session, wanted.value, kind)
        session.rollback()
        if by_shares:
            held = _by_shares(ShareCeremony(wanted, kind, history), seen)
        else:
            held = _by_components(Ceremony(wanted, kind, components, history), seen, _check_value)
        click.echo(f"check value of the whole key: {held.check_value()}")
        click.confirm("Compare it with the paper. Take this key into the vault?", abort=True)
        write(key_ceremonies.conclude(session, vault, held, actor=actor, now=now()))
    click.echo(f"the key is active; print and sign {protocol_file}")


@click.command("import-transport")
@click.option("--check-value", required=True, help="Of the whole key: six hex digits of the maker's letter.")
@click.option("--algorithm", default="aes-128", show_default=True, help="aes-128 or aes-256.")
@click.option("--components", type=click.IntRange(2, 3), default=2, show_default=True, help="How many custodians.")
@click.option(
    "--component-file",
    "component_files",
    type=(str, click.Path(exists=True, dir_okay=False, path_type=Path)),
    multiple=True,
    metavar="CUSTODIAN FILE",
    help="A custodian's name, and the file with their component in hex; once for each. Asked for without it.",
)
@_protocol_option
@passphrase_files_option
def import_transport(
    check_value: str,
    algorithm: str,
    components: int,
    component_files: tuple[tuple[str, Path], ...],
    protocol_file: Path,
    passphrase_files: tuple[Path, ...],
) -> None:
    """Enter the transport key of a delivery of blanks, from the components that custodians hold.

    \b
    Examples:
      uec keys import-transport --check-value 504A77
      uec keys import-transport --check-value 504A77 --component-file Anna a.hex --component-file Boris b.hex

    It is a ceremony (`uec keys ceremony --help`) whose check value came beforehand: each custodian gives a name and
    types the component of the maker's letter, unseen. Who holds which component is noted, and nobody gets a second one.
    """
    from issuance.errors import BadComponent  # noqa: PLC0415
    from issuance.keys.ceremony import Ceremony  # noqa: PLC0415
    from issuance.keys.port import KeyPurpose  # noqa: PLC0415
    from uec.domain.actors import system_actor  # noqa: PLC0415
    from uec.services import key_ceremonies  # noqa: PLC0415

    kind, purpose, places = algorithm_of(algorithm), KeyPurpose.BLANK_TRANSPORT, len(component_files) or components
    read = [(custodian, read_line(file)) for custodian, file in component_files]
    with _protocol(protocol_file) as write, changing(passphrase_files) as (vault, session):
        held, seen = Ceremony(purpose, kind, places, key_ceremonies.history(session)), _noting(session, purpose, kind)
        session.rollback()
        held = _of_files(held, seen, read) if read else _by_components(held, seen, _check_value_if_any)
        if held.check_value() != check_value.strip().upper():
            raise BadComponent(
                f"the components give check value {held.check_value()}, not {check_value}: one of them was mistyped"
            )
        actor = system_actor("key ceremony")
        write(key_ceremonies.conclude(session, vault, held, actor=actor, now=now()))
        version = vault.active(purpose).version
    click.echo(f"transport key version {version} is active; print and sign {protocol_file}")


def _of_files(held: "Ceremony", seen: "Seen", components: "Sequence[tuple[str, str]]") -> "Ceremony":
    from card_io.secret import Secret  # noqa: PLC0415
    from uec.domain.errors import InvalidInput  # noqa: PLC0415

    for place, (custodian, text) in enumerate(components, 1):
        try:
            component = Secret(bytes.fromhex(text))
        except ValueError:
            raise InvalidInput(f"The component of {custodian} is not written in hexadecimal digits.") from None
        held = held.enter(custodian, place, component, None)
        seen(custodian, held.entered[-1].place, held.entered[-1].check_value)
    return held


def _noting(session: "Session", subject: str, algorithm: "KeyAlgorithm") -> "Seen":
    """What notes at once that somebody has seen a part: a ceremony that is broken off has made them a holder too."""
    from uec.domain.actors import system_actor  # noqa: PLC0415
    from uec.services import key_ceremonies  # noqa: PLC0415

    def seen(custodian: str, place: "Place", check_value: str) -> None:
        actor, part = system_actor("key ceremony"), (custodian, place)
        key_ceremonies.note_part(session, (subject, algorithm), part, check_value, actor=actor, now=now())

    return seen


@contextmanager
def _protocol(file: Path) -> "Iterator[Callable[[bytes], None]]":
    """A file for the protocol, with room for it before anybody types; nothing is left when it is not written."""
    from uec.domain.errors import InvalidInput  # noqa: PLC0415

    try:
        handle = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError:
        raise InvalidInput(
            f"{file} is there already: keep that protocol, and name another file by --protocol."
        ) from None
    except OSError as error:
        raise InvalidInput(f"The protocol cannot be written to {file} ({error.strerror}): name another file.") from None
    written = False

    def write(pdf: bytes) -> None:
        nonlocal written
        handle.write(pdf)
        handle.truncate()
        handle.flush()
        os.fsync(handle.fileno())
        written = True

    with handle:
        try:
            os.posix_fallocate(handle.fileno(), 0, _PROTOCOL_ROOM_BYTES)
            yield write
        finally:
            if not written:
                file.unlink(missing_ok=True)


def _check_value() -> str:
    typed: str = click.prompt("Its check value")
    return typed


def _check_value_if_any() -> str | None:
    """That of a component of a maker's letter; not every maker prints one."""
    typed: str = click.prompt("Its check value (Enter where the letter has none)", default="", show_default=False)
    return typed.strip() or None


def _by_components(held: "Ceremony", seen: "Seen", check_value_of: "Callable[[], str | None]") -> "Ceremony":
    from card_io.secret import Secret  # noqa: PLC0415

    while held.missing:
        place = held.missing[0]
        custodian = click.prompt(f"Name of the custodian of component {place} of {held.places}")
        text = click.prompt(f"Component {place} of {held.places} (hex)", hide_input=True)
        check_value = check_value_of()
        with _asking_again():
            held = held.enter(custodian, place, Secret(bytes.fromhex(text)), check_value)
            seen(custodian, held.entered[-1].place, held.entered[-1].check_value)
    return held


def _by_shares(held: "ShareCeremony", seen: "Seen") -> "ShareCeremony":
    from card_io.secret import Secret  # noqa: PLC0415

    while held.missing_count != 0:
        left = "" if held.missing_count is None else f" ({held.missing_count} more)"
        custodian = click.prompt(f"Name of the next custodian{left}")
        words = Secret(click.prompt("The words of the share", hide_input=True).encode())
        check_value = click.prompt("Its check value")
        with _asking_again():
            held = held.enter(custodian, words, check_value)
            seen(custodian, held.entered[-1].place, held.entered[-1].check_value)
    return held


@contextmanager
def _asking_again() -> "Iterator[None]":
    """A mistake is told, nothing has changed, and the same part is asked for again."""
    from issuance.errors import BadComponent  # noqa: PLC0415
    from issuance.keys.custodians import WrongCustodian  # noqa: PLC0415

    try:
        yield
    except ValueError:
        click.echo("a component is written in hexadecimal digits: enter it again", err=True)
    except (BadComponent, WrongCustodian) as error:
        click.echo(str(error), err=True)


@click.command()
@click.option(
    "--shares", "count", type=click.IntRange(2, 16), default=5, show_default=True, help="How many custodians."
)
@click.option("--needed", type=click.IntRange(2, 16), default=3, show_default=True, help="How many make the key.")
@click.option("--algorithm", default="aes-256", show_default=True, help="aes-128 or aes-256.")
@_protocol_option
@passphrase_files_option
def divide(count: int, needed: int, algorithm: str, protocol_file: Path, passphrase_files: tuple[Path, ...]) -> None:
    """Make a new key and show each custodian one share of it (SLIP-39); the key itself is kept nowhere.

    \b
    Example: uec keys divide --shares 5 --needed 3

    Each custodian copies the words and the check value by hand, alone at the screen, which is cleared afterwards. Any
    of them, as many as are needed, put the key together by `uec keys ceremony --shares`, or guard a backup by
    `uec keys back-up --shares`; those who cannot come are not missed.
    """
    from card_io.ciphers import kcv_aes  # noqa: PLC0415
    from card_io.secret import Secret  # noqa: PLC0415
    from issuance.keys import shares  # noqa: PLC0415
    from issuance.keys.material import size_of  # noqa: PLC0415
    from uec.domain.actors import system_actor  # noqa: PLC0415
    from uec.services import key_ceremonies  # noqa: PLC0415

    kind, actor = algorithm_of(algorithm), system_actor("key ceremony")
    with _protocol(protocol_file) as write, changing(passphrase_files) as (vault, session):
        key, history = Secret(secrets.token_bytes(size_of(kind))), key_ceremonies.history(session)
        session.rollback()
        seen = _noting(session, key_ceremonies.DIVIDED, kind)
        given = _give_out(shares.split(key, threshold=needed, count=count), history, seen)
        check_value = kcv_aes(key.reveal()).hex().upper()
        write(key_ceremonies.note_division(session, vault, kind, check_value, given, actor=actor, now=now()))
    click.echo(f"check value of the whole key: {check_value}; print and sign {protocol_file}")


def _give_out(parts: "list[Share]", history: "dict[str, Place]", seen: "Seen") -> "list[tuple[str, Share]]":
    """Show each share to its own custodian; the screen is cleared in between."""
    from issuance.keys import custodians  # noqa: PLC0415

    given: list[tuple[str, Share]] = []
    for share in parts:
        place = custodians.Place(custodians.Scheme.SHARE, share.number)
        while len(given) < share.number:
            name = click.prompt(f"Name of the custodian of share {share.number} of {len(parts)}")
            with _asking_again():
                done = [(who, custodians.Place(place.scheme, part.number)) for who, part in given]
                custodians.require(name, place, history, done)
                seen(name, place, share.check_value)
                given.append((name, share))
        click.echo(f"{_in_rows(share.words.reveal().decode().split())}\ncheck value {share.check_value}")
        click.prompt("Write both down; then type yes", type=click.Choice(["yes"]), show_choices=False)
        click.clear()
    return given


def _in_rows(words: list[str]) -> str:
    """Words as they are copied by hand: numbered, a few a row, none broken over two lines."""
    numbered = [f"{number:2} {word:<10}" for number, word in enumerate(words, 1)]
    return "\n".join("".join(numbered[at : at + _WORDS_A_ROW]).rstrip() for at in range(0, len(words), _WORDS_A_ROW))
