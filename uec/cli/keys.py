"""`uec keys`: the vault's keys by purpose and version. It opens the vault itself, so `uec vault` must be stopped."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uec.cli.options import ask_secret, now, passphrase_files_option, read_line, read_passphrases, settings, store
from uec.cli.tables import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from card_io.secret import Secret
    from issuance.keys.ceremony import Ceremony
    from issuance.keys.engine import VaultEngine
    from issuance.keys.port import KeyPurpose


@click.group()
def keys() -> None:
    """Keys of the vault: list, rotate, retire or destroy, ceremonies, backup. `uec vault` must be stopped."""


def _open(passphrase_files: tuple[Path, ...]) -> "VaultEngine":
    from uec.services import vaults  # noqa: PLC0415

    chosen = settings()
    return vaults.unlock(chosen, read_passphrases(passphrase_files or chosen.vault_passphrase_files))


@contextmanager
def _changing(passphrase_files: tuple[Path, ...]) -> "Iterator[tuple[VaultEngine, Session]]":
    """The vault and the office's memory of it, which must agree before the change and do so again after it."""
    from uec.services import vault_memory  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session, _open(passphrase_files) as vault:
        vault_memory.require(session, vault)
        try:
            yield vault, session
        finally:
            vault_memory.note(session, vault)
            session.commit()


@keys.command("list")
@passphrase_files_option
def list_keys(passphrase_files: tuple[Path, ...]) -> None:
    """List keys with state and check value; nothing secret is shown."""

    with _open(passphrase_files) as vault:
        rows = [
            (info.ref.purpose, info.ref.version, info.algorithm, info.state, info.check_value, info.uses)
            for info in vault.describe()
        ]
    show(("purpose", "version", "algorithm", "state", "check value", "uses"), rows)


@keys.command("init")
@passphrase_files_option
def make(passphrase_files: tuple[Path, ...]) -> None:
    """Make a first version of every key that is missing."""
    from uec.services.installation import make_keys  # noqa: PLC0415

    with _changing(passphrase_files) as (vault, _):
        make_keys(vault, now=now())
    click.echo("every key has an active version")


@keys.command()
@passphrase_files_option
def rotate(passphrase_files: tuple[Path, ...]) -> None:
    """Make a new version of the card master; cards made before keep theirs, new ones take the new."""
    from issuance.keys.port import KeyPurpose  # noqa: PLC0415
    from uec.services.installation import ALGORITHMS  # noqa: PLC0415

    with _changing(passphrase_files) as (vault, _):
        ref = vault.generate(KeyPurpose.CARD_MASTER, ALGORITHMS[KeyPurpose.CARD_MASTER], now=now())
    click.echo(f"card master version {ref.version} is active")


@keys.command("import-transport")
@click.option("--check-value", required=True, help="Six hex digits that came with the key.")
@click.option(
    "--component-file",
    "component_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with one component in hex; name one for each custodian. Asked for without it.",
)
@passphrase_files_option
def import_transport(check_value: str, component_files: tuple[Path, ...], passphrase_files: tuple[Path, ...]) -> None:
    """Enter the transport key of a delivery of blanks, from the components that two custodians hold."""
    from card_io.secret import Secret  # noqa: PLC0415
    from issuance.keys.port import KeyAlgorithm, KeyPurpose  # noqa: PLC0415
    from uec.domain.errors import InvalidInput  # noqa: PLC0415

    texts = [read_line(file).strip() for file in component_files] or [
        ask_secret(f"Component of the {who} custodian (hex)").strip() for who in ("first", "second")
    ]
    try:
        components = tuple(Secret(bytes.fromhex(text)) for text in texts)
    except ValueError:
        raise InvalidInput("A component is 32, 48 or 64 hexadecimal digits: type it again.") from None
    with _changing(passphrase_files) as (vault, _):
        algorithm = KeyAlgorithm.AES_128 if len(texts[0]) == 32 else KeyAlgorithm.AES_256
        ref = vault.import_key(KeyPurpose.BLANK_TRANSPORT, algorithm, components, check_value=check_value, now=now())
    click.echo(f"transport key version {ref.version} is active")


@keys.command()
@click.argument("purpose")
@click.argument("version", type=int)
@click.argument("event", type=click.Choice(["activate", "retire", "compromise", "destroy"]))
@passphrase_files_option
def move(purpose: str, version: int, event: str, passphrase_files: tuple[Path, ...]) -> None:
    """Activate, retire, compromise or destroy a key version: `uec keys move card-master 1 compromise`.

    A retired key still serves what it made. A compromised card master only opens cards, so that they can be moved to
    the next one. A destroyed key is gone for good.
    """
    from issuance.keys.lifecycle import KeyEvent  # noqa: PLC0415
    from issuance.keys.port import KeyRef  # noqa: PLC0415

    with _changing(passphrase_files) as (vault, _):
        ref = KeyRef(_purpose(purpose), version)
        if event == "destroy":
            click.confirm(f"Destroy {purpose} version {version}? Nothing brings it back", abort=True)
        vault.move(ref, KeyEvent(event))
        state = next(info.state for info in vault.describe(ref.purpose) if info.ref == ref)
    click.echo(f"{purpose} version {version} is {state}")


@keys.command()
@click.option("--purpose", default="card-master", show_default=True, help="What the key is for.")
@click.option("--algorithm", default="aes-128", show_default=True, help="aes-128 or aes-256.")
@click.option("--components", type=click.IntRange(2, 3), default=2, show_default=True, help="How many custodians.")
@click.option(
    "--protocol",
    "protocol_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    default=Path("key-ceremony.pdf"),
    show_default=True,
    help="Where the signed protocol is written (PDF).",
)
@passphrase_files_option
def ceremony(
    purpose: str, algorithm: str, components: int, protocol_file: Path, passphrase_files: tuple[Path, ...]
) -> None:
    """Put a master key together from components; each custodian enters one, alone, with its check value.

    A component that was mistyped is entered again. Who ever held a component is never accepted for another place.
    """
    from issuance.keys.ceremony import Ceremony  # noqa: PLC0415
    from issuance.keys.port import KeyAlgorithm  # noqa: PLC0415
    from uec.domain.actors import system_actor  # noqa: PLC0415
    from uec.services import key_ceremonies  # noqa: PLC0415

    known = {item.value: item for item in KeyAlgorithm}
    if algorithm not in known:
        raise click.BadParameter(f"choose of {', '.join(known)}", param_hint="--algorithm")
    with _changing(passphrase_files) as (vault, session):
        held = Ceremony(_purpose(purpose), known[algorithm], components, key_ceremonies.history(session))
        while held.missing:
            held = _entered(held)
        click.echo(f"check value of the whole key: {held.check_value()}")
        actor = system_actor("key ceremony")
        protocol_file.write_bytes(key_ceremonies.conclude(session, vault, held, actor=actor, now=now()))
    click.echo(f"the key is active; print and sign {protocol_file}")


def _entered(held: "Ceremony") -> "Ceremony":
    """The ceremony after the next custodian's component; a mistake is told and asked for again."""
    from card_io.secret import Secret  # noqa: PLC0415
    from issuance.errors import BadComponent  # noqa: PLC0415
    from issuance.keys.ceremony import WrongCustodian  # noqa: PLC0415

    place = held.missing[0]
    custodian = click.prompt(f"Name of custodian {place}")
    text = click.prompt(f"Component {place} of {held.places} (hex)", hide_input=True)
    check_value = click.prompt("Its check value")
    try:
        return held.enter(custodian, place, Secret(bytes.fromhex(text)), check_value)
    except ValueError:
        click.echo("a component is written in hexadecimal digits: enter it again", err=True)
    except (BadComponent, WrongCustodian) as error:
        click.echo(str(error), err=True)
    return held


@keys.command()
@click.option("--skip", type=click.IntRange(0), default=100_000, show_default=True, help="Numbers left out of series.")
@passphrase_files_option
def agree(skip: int, passphrase_files: tuple[Path, ...]) -> None:
    """Let office and vault go on together after one of them was restored from an older copy.

    Find out first which one it was. The next numbers of cards, lists and receipts are left out, so that none given
    after the copy was made is given twice. A vault that has lost a key needs its backup, not this.
    """
    from uec.services import vault_memory  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session, _open(passphrase_files) as vault:
        vault_memory.agree(session, vault, skip=skip)
        session.commit()
    click.echo(f"office and vault agree again; {skip} numbers of each series are left out")


@keys.command("back-up")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@passphrase_files_option
def back_up(file: Path, passphrase_files: tuple[Path, ...]) -> None:
    """Write all keys into FILE, wrapped under a transport key that two custodians enter."""
    from issuance.keys.backup import transport_check_value  # noqa: PLC0415

    with _open(passphrase_files) as vault:
        transport = _transport_key()
        data = vault.back_up(transport)
        file.write_bytes(data)
        count = len(vault.describe())
    click.echo(
        f"{count} keys are in {file}, under the transport key with check value {transport_check_value(transport)}"
    )


@keys.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@passphrase_files_option
def restore(file: Path, passphrase_files: tuple[Path, ...]) -> None:
    """Make a vault (a file or a token, by the settings) of a backup; refuses one that has keys already."""
    from uec.services import vaults  # noqa: PLC0415

    chosen = settings()
    chosen.vault_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    passphrases = read_passphrases(passphrase_files or chosen.vault_passphrase_files)
    with vaults.unlock_or_create(chosen, passphrases) as vault:
        identity = vault.restore(file.read_bytes(), _transport_key())
        count = len(vault.describe())
    click.echo(f"{count} keys of vault {identity.vault_id}, generation {identity.generation}, are restored")


def _transport_key() -> "Secret":
    """The transport key, from two components of 64 hex digits."""
    from card_io.secret import Secret  # noqa: PLC0415
    from issuance.keys.backup import TRANSPORT_KEY_BYTES  # noqa: PLC0415
    from issuance.keys.card_keys import combine  # noqa: PLC0415
    from uec.domain.errors import InvalidInput  # noqa: PLC0415

    texts = [
        click.prompt(f"Transport component of the {who} custodian (64 hex digits)", hide_input=True)
        for who in ("first", "second")
    ]
    try:
        return combine(tuple(Secret(bytes.fromhex(text)) for text in texts), TRANSPORT_KEY_BYTES)
    except ValueError:
        raise InvalidInput("A transport component is 64 hexadecimal digits: type it again.") from None


def _purpose(name: str) -> "KeyPurpose":
    from issuance.keys.port import KeyPurpose  # noqa: PLC0415

    known = {item.value: item for item in KeyPurpose}
    if name not in known:
        raise click.BadParameter(f"there is no purpose {name}; choose of {', '.join(known)}")
    return known[name]
