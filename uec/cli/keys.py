"""`uec keys`: the vault's keys by purpose and version. It opens the vault itself, so `uec vault` must be stopped."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uec.cli.key_backup import back_up, passphrases, restore, restore_previous
from uec.cli.key_ceremony import ceremony, divide, import_transport
from uec.cli.key_vault import changing, open_vault, purpose_of, record, warn_of_doubt
from uec.cli.options import now, passphrase_files_option, settings, store
from uec.cli.tables import show

if TYPE_CHECKING:
    from issuance.keys.engine import VaultEngine

ROTATED = ("card-master", "pin-master", "audit")


@click.group()
def keys() -> None:
    """Keys of the vault: list, rotate, retire or destroy, ceremonies, backup. `uec vault` must be stopped.

    \b
    Every command asks for both custodians' passphrases, or reads them from
    two files: uec keys list --passphrase-file FIRST --passphrase-file SECOND

    \b
    A year with keys:
      uec keys init                       first version of every key
      uec keys list                       states, periods, uses, cards left
      uec keys rotate card-master         new version; cards move over in time
      uec keys ceremony --shares          a key from k of n custodians' shares
      uec keys back-up KEYS.BACKUP        all keys, wrapped, for another vault
    """


@keys.command("list")
@passphrase_files_option
def list_keys(passphrase_files: tuple[Path, ...]) -> None:
    """List keys with state, period, check value, uses, and how many cards hold each card master.

    \b
    Example: uec keys list
    A period that is "ending" or "over" asks for the next version of that key.
    """
    from issuance.keys import periods  # noqa: PLC0415
    from issuance.keys.port import KeyPurpose  # noqa: PLC0415

    moment, master = now(), KeyPurpose.CARD_MASTER
    with open_vault(passphrase_files) as vault:
        cards = _cards_held(vault)
        rows = [
            (
                info.ref.purpose,
                info.ref.version,
                info.algorithm,
                info.state,
                f"{info.expires_at:%Y-%m-%d}" if info.expires_at else "",
                periods.judge(info, moment),
                info.check_value,
                info.uses,
                cards.get(info.ref.version, 0) if cards is not None and info.ref.purpose is master else "",
            )
            for info in vault.describe()
        ]
    show(("purpose", "version", "algorithm", "state", "until", "period", "check value", "uses", "cards"), rows)


def _cards_held(vault: "VaultEngine") -> "dict[int, int] | None":
    """Cards by version of their master; None where a vault is without its office (a new one, or another machine)."""
    from uec.domain.errors import UecError  # noqa: PLC0415
    from uec.services import key_rotation  # noqa: PLC0415

    try:
        with store(settings()) as sessions, sessions() as session:
            warn_of_doubt(session, vault)
            return key_rotation.cards_by_version(session)
    except UecError as error:
        click.echo(f"cards are not counted: {error}", err=True)
        return None


@keys.command("init")
@passphrase_files_option
def make(passphrase_files: tuple[Path, ...]) -> None:
    """Make a first version of every key that is missing.

    \b
    Example: uec keys init
    `uec init` has done this already; run it again after a new purpose came with
    a new version of the software. Nothing that is there is changed.
    """
    from uec.services.installation import make_keys  # noqa: PLC0415

    with changing(passphrase_files) as (vault, _):
        make_keys(vault, now=now())
    click.echo("every key has an active version")


@keys.command()
@click.argument("purpose", type=click.Choice(ROTATED), default="card-master")
@click.option("--ahead", is_flag=True, help="Make it now and use it later: `uec keys move PURPOSE VERSION activate`.")
@passphrase_files_option
def rotate(purpose: str, ahead: bool, passphrase_files: tuple[Path, ...]) -> None:  # noqa: FBT001 - a flag
    """Make a new version of a key; what was made with the version before goes on working.

    \b
    Examples:
      uec keys rotate card-master
      uec keys rotate card-master --ahead
    New cards take the new version. Cards made before keep theirs until they are
    moved by PUT KEY at a window; `uec keys list` tells how many are left.
    Keys with a certificate get a new one with it: see `uec ca --help`.
    """
    from uec.services.installation import ALGORITHMS  # noqa: PLC0415

    chosen = purpose_of(purpose)
    with changing(passphrase_files) as (vault, session):
        make = vault.generate_ahead if ahead else vault.generate
        ref = make(chosen, ALGORITHMS[chosen], now=now())
        record(session, "key.rotate", purpose, version=ref.version, ahead=ahead)
    state = f"waits for `uec keys move {purpose} {ref.version} activate`" if ahead else "is active"
    click.echo(f"{purpose.replace('-', ' ')} version {ref.version} {state}")


@keys.command()
@click.argument("purpose")
@click.argument("version", type=int)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The last moment is its midnight, UTC.")
@passphrase_files_option
def period(purpose: str, version: int, until: datetime, passphrase_files: tuple[Path, ...]) -> None:
    """Let the period of a key end on another day.

    \b
    Example: uec keys period card-master 2 --until 2028-12-31
    After its period a key protects nothing new: it only opens cards it was
    given to. Making the next version is the rule, a later end the exception.
    """
    from issuance.keys.port import KeyRef  # noqa: PLC0415

    end = until.replace(tzinfo=UTC)
    with changing(passphrase_files) as (vault, session):
        vault.set_period(KeyRef(purpose_of(purpose), version), end)
        record(session, "key.period", purpose, version=version, until=end.isoformat())
    click.echo(f"{purpose} version {version} works until {end:%Y-%m-%d}")


@keys.command()
@click.argument("purpose")
@click.argument("version", type=int)
@click.argument("event", type=click.Choice(["activate", "retire", "compromise", "destroy"]))
@click.option("--cards-left", is_flag=True, help="Retire or destroy it although cards still hold its keys.")
@passphrase_files_option
def move(
    purpose: str,
    version: int,
    event: str,
    cards_left: bool,  # noqa: FBT001 - click passes flags so
    passphrase_files: tuple[Path, ...],
) -> None:
    """Activate, retire, compromise or destroy a key version.

    \b
    Example: uec keys move card-master 1 compromise
    A retired key still serves what it made. A compromised card master only
    opens cards, so that they can be moved to the next one. A destroyed key is
    gone for good. A card master that cards still hold is neither retired nor
    destroyed, and a PIN master that cards were made with not destroyed, unless
    --cards-left says that it is meant.
    """
    from issuance.keys.lifecycle import KeyEvent  # noqa: PLC0415
    from issuance.keys.port import KeyRef  # noqa: PLC0415
    from uec.services import key_rotation  # noqa: PLC0415

    with changing(passphrase_files) as (vault, session):
        ref, asked = KeyRef(purpose_of(purpose), version), KeyEvent(event)
        if asked in (KeyEvent.RETIRE, KeyEvent.DESTROY) and not cards_left:
            key_rotation.require_no_cards(session, ref)
        if asked is KeyEvent.DESTROY and not cards_left:
            key_rotation.require_no_codes(session, ref)
        session.rollback()
        if asked is KeyEvent.DESTROY:
            click.confirm(f"Destroy {purpose} version {version}? Nothing brings it back", abort=True)
        vault.move(ref, asked)
        state = next(info.state for info in vault.describe(ref.purpose) if info.ref == ref)
        record(session, f"key.{event}", purpose, version=version, cards_left=cards_left)
    click.echo(f"{purpose} version {version} is {state}")


@keys.command()
@click.option("--skip", type=click.IntRange(0), default=100_000, show_default=True, help="Numbers left out of series.")
@passphrase_files_option
def agree(skip: int, passphrase_files: tuple[Path, ...]) -> None:
    """Let office and vault go on together after one of them was restored from an older copy.

    \b
    Example: uec keys agree --skip 200000
    Find out first which one it was. The next numbers of cards, lists and
    receipts are left out, so that none given after the copy was made is given
    twice. A key version that an older vault has lost is known as destroyed
    from then on, and never given again: its cards can be opened only with the
    newer copy of the vault, so look for that first. It also ends the vault's
    doubt about a clock that was ahead and has been set right.
    """
    from uec.services import key_rotation, vault_memory  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session, open_vault(passphrase_files) as vault:
        vault.trust_clock()
        lost = vault_memory.agree(session, vault, skip=skip, now=now())
        key_rotation.note(session, vault.describe(), now=now())
        record(session, "key.agree", "vault", skip=skip, generation=vault.identity().generation)
        session.commit()
        for ref in lost:
            record(session, "key.agree", ref.purpose.value, version=ref.version)
        session.commit()
    for ref in lost:
        click.echo(f"{ref.purpose} version {ref.version} is lost with the newer copy, and never given again")
    click.echo(f"office and vault agree again; {skip} numbers of each series are left out")


for command in (ceremony, divide, import_transport, back_up, restore, restore_previous, passphrases):
    keys.add_command(command)
