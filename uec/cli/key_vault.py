"""How the key commands open the vault: with both custodians, and in agreement with what the office remembers."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uec.cli.options import now, read_passphrases, settings, store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from issuance.keys.engine import VaultEngine
    from issuance.keys.port import KeyAlgorithm, KeyPurpose


def open_vault(passphrase_files: tuple[Path, ...]) -> "VaultEngine":
    """The vault of this installation, unlocked; this process's memory is in no dump from now on."""
    from issuance.keys import hardening  # noqa: PLC0415
    from uec.services import vaults  # noqa: PLC0415

    hardening.forbid_dumps()
    chosen = settings()
    passphrases = read_passphrases(passphrase_files or chosen.vault_passphrase_files)
    return vaults.unlock(chosen, passphrases, clock=now)


@contextmanager
def changing(passphrase_files: tuple[Path, ...]) -> "Iterator[tuple[VaultEngine, Session]]":
    """The vault and the office's memory of it, which must agree before the change and do so again after it.

    No transaction is open while people type: SQLite would let nobody else write meanwhile.
    """
    from uec.services import key_rotation, vault_memory  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session, open_vault(passphrase_files) as vault:
        vault_memory.require(session, vault)
        session.rollback()
        try:
            yield vault, session
        except BaseException:
            session.rollback()
            raise
        finally:
            vault_memory.note(session, vault)
            key_rotation.note(session, vault.describe(), now=now())
            session.commit()


def warn_of_doubt(session: "Session", vault: "VaultEngine") -> None:
    """Say it when office and vault disagree, where a command only looks or saves and goes on all the same."""
    from issuance.keys.agreement import Disagreement  # noqa: PLC0415
    from uec.services import vault_memory  # noqa: PLC0415

    try:
        vault_memory.require(session, vault)
    except Disagreement as error:
        click.echo(f"warning: {error} by `uec keys agree`", err=True)
    session.rollback()


def record(session: "Session", action: str, subject: str, **details: object) -> None:
    """An audit entry about a key or the vault, made at the command line; the caller commits."""
    from uec.domain.actors import system_actor  # noqa: PLC0415
    from uec.store import audit  # noqa: PLC0415

    audit.record(
        session,
        actor=system_actor("key custodians").reference,
        action=action,
        subject_kind="key",
        subject_id=subject,
        details=details,
        now=now(),
    )


def purpose_of(name: str) -> "KeyPurpose":
    """The purpose by its name; a wrong one is told with all there are."""
    from issuance.keys.port import KeyPurpose  # noqa: PLC0415

    known = {item.value: item for item in KeyPurpose}
    if name not in known:
        raise click.BadParameter(f"there is no purpose {name}; choose of {', '.join(known)}")
    return known[name]


def algorithm_of(name: str) -> "KeyAlgorithm":
    """The algorithm by its name; a wrong one is told with all there are."""
    from issuance.keys.port import KeyAlgorithm  # noqa: PLC0415

    known = {item.value: item for item in KeyAlgorithm}
    if name not in known:
        raise click.BadParameter(f"choose of {', '.join(known)}", param_hint="--algorithm")
    return known[name]
