"""`uec keys back-up`, `restore`, `restore-previous` and `passphrases`: keys outlive a disk, a vault and a custodian."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uec.cli.key_vault import open_vault, record, warn_of_doubt
from uec.cli.options import passphrase_files_option, read_passphrases, settings, store

if TYPE_CHECKING:
    from card_io.secret import Secret

_shares_option = click.option(
    "--shares", "by_shares", is_flag=True, help="The transport key comes from k of n shares (`uec keys divide`)."
)


@click.command("back-up")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_shares_option
@passphrase_files_option
def back_up(file: Path, by_shares: bool, passphrase_files: tuple[Path, ...]) -> None:  # noqa: FBT001 - a flag
    """Write all keys into FILE, wrapped under a transport key that custodians enter.

    \b
    Examples:
      uec keys back-up keys.backup             two components, both needed again
      uec keys back-up keys.backup --shares    k of n shares: one may be lost

    The file tells versions, states and check values, and nothing secret without the transport key.
    """
    from issuance.keys import storage  # noqa: PLC0415
    from issuance.keys.backup import transport_check_value  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session, open_vault(passphrase_files) as vault:
        warn_of_doubt(session, vault)
        transport = _transport_key(by_shares=by_shares)
        storage.write_private(file, vault.back_up(transport))
        count, value = len(vault.describe()), transport_check_value(transport)
        record(session, "key.back-up", "vault", keys=count, transport_check_value=value)
        session.commit()
    click.echo(f"{count} keys are in {file}, under the transport key with check value {value}")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_shares_option
@passphrase_files_option
def restore(file: Path, by_shares: bool, passphrase_files: tuple[Path, ...]) -> None:  # noqa: FBT001 - a flag
    """Make a vault (a file or a token, by the settings) of a backup; refuses one that has keys already.

    \b
    Example, moving the keys into a token: write pkcs11_module and
    pkcs11_label into the settings, then
      uec keys restore keys.backup
    The passphrases are those of the new vault; a custodian who has lost the old
    one chooses another here.
    """
    from issuance.errors import VaultExists  # noqa: PLC0415
    from issuance.keys import hardening  # noqa: PLC0415
    from uec.services import vaults  # noqa: PLC0415

    hardening.forbid_dumps()
    chosen = settings()
    chosen.vault_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    passphrases = read_passphrases(passphrase_files or chosen.vault_passphrase_files)
    with vaults.unlock_or_create(chosen, passphrases) as vault:
        if vault.describe():  # before two people have typed their components
            raise VaultExists("this vault has keys already: restore into an empty one", path="vault")
        identity = vault.restore(file.read_bytes(), _transport_key(by_shares=by_shares))
        count = len(vault.describe())
    click.echo(f"{count} keys of vault {identity.vault_id}, generation {identity.generation}, are restored")


@click.command("restore-previous")
def restore_previous() -> None:
    """Put the good copy from before the last change in the place of a damaged vault file.

    \b
    Example: uec keys restore-previous
    Only when the vault says that its file is damaged. What the last change
    added is lost with it: if that was a key, take the backup instead. Office
    and vault may disagree afterwards, until `uec keys agree`.
    """
    from issuance.keys import storage  # noqa: PLC0415

    chosen = settings()
    with storage.lock(chosen.vault_path):
        aside = storage.restore_previous(chosen.vault_path)
    with store(chosen) as sessions, sessions() as session:
        record(session, "key.restore-previous", "vault", damaged=aside.name)
        session.commit()
    click.echo(f"the previous good copy is in place; the damaged file is kept as {aside}")


@click.command()
@click.option(
    "--new-passphrase-file",
    "new_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a new passphrase; name it twice, once for each custodian. Asked for without it.",
)
@passphrase_files_option
def passphrases(new_files: tuple[Path, ...], passphrase_files: tuple[Path, ...]) -> None:
    """Give the vault file new passphrases: a custodian leaves, or one may have been seen.

    \b
    Example: uec keys passphrases
    Both old ones are needed once more. The PIN of a token is changed with its
    maker's tool instead. Older copies of the file still open with the old ones:
    destroy them.
    """
    from issuance.keys.file_vault import FileVault  # noqa: PLC0415
    from uec.domain.errors import InvalidInput  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session, open_vault(passphrase_files) as vault:
        if not isinstance(vault, FileVault):
            raise InvalidInput("The keys are in a token: change its PIN with its maker's tool.")
        vault.reseal(_new_passphrases(new_files))
        record(session, "key.passphrases", "vault")
        session.commit()
    click.echo("the vault opens with the new passphrases only")


def _new_passphrases(files: tuple[Path, ...]) -> "tuple[Secret, Secret]":
    click.echo("Now the new passphrases, the first custodian's first." if not files else "The new ones are read.")
    return read_passphrases(files, confirm=True)


def _transport_key(*, by_shares: bool) -> "Secret":
    """The transport key: from two components of 64 hex digits, or from as many shares as its division asks for."""
    from card_io.secret import Secret  # noqa: PLC0415
    from issuance.keys import shares  # noqa: PLC0415
    from issuance.keys.backup import TRANSPORT_KEY_BYTES  # noqa: PLC0415
    from issuance.keys.card_keys import combine  # noqa: PLC0415
    from uec.domain.errors import InvalidInput  # noqa: PLC0415

    if by_shares:
        first = shares.read(click.prompt("The words of the first share", hide_input=True))
        more = [
            shares.read(click.prompt(f"Share {at} of {first.threshold}", hide_input=True))
            for at in range(2, first.threshold + 1)
        ]
        return shares.combine([share.words for share in (first, *more)])
    texts = [
        click.prompt(f"Transport component of the {who} custodian (64 hex digits)", hide_input=True)
        for who in ("first", "second")
    ]
    try:
        return combine(tuple(Secret(bytes.fromhex(text)) for text in texts), TRANSPORT_KEY_BYTES)
    except ValueError:
        raise InvalidInput("A transport component is 64 hexadecimal digits: type it again.") from None
