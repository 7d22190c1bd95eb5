"""`uec keys`: the vault's keys by purpose and version. It opens the vault itself, so `uec vault` must be stopped."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uec.cli.options import ask_secret, now, passphrase_files_option, read_line, read_passphrases, settings
from uec.cli.tables import show

if TYPE_CHECKING:
    from issuance.keys.engine import VaultEngine


@click.group()
def keys() -> None:
    """Keys of the vault: list, make a new version, enter a maker's transport key."""


def _open(passphrase_files: tuple[Path, ...]) -> "VaultEngine":
    from uec.services import vaults  # noqa: PLC0415

    chosen = settings()
    return vaults.unlock(chosen, read_passphrases(passphrase_files or chosen.vault_passphrase_files))


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

    with _open(passphrase_files) as vault:
        make_keys(vault, now=now())
    click.echo("every key has an active version")


@keys.command()
@passphrase_files_option
def rotate(passphrase_files: tuple[Path, ...]) -> None:
    """Make a new version of the card master; cards made before keep theirs, new ones take the new."""
    from issuance.keys.port import KeyPurpose  # noqa: PLC0415
    from uec.services.installation import ALGORITHMS  # noqa: PLC0415

    with _open(passphrase_files) as vault:
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
    with _open(passphrase_files) as vault:
        algorithm = KeyAlgorithm.AES_128 if len(texts[0]) == 32 else KeyAlgorithm.AES_256
        ref = vault.import_key(KeyPurpose.BLANK_TRANSPORT, algorithm, components, check_value=check_value, now=now())
    click.echo(f"transport key version {ref.version} is active")
