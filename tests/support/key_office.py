"""An office made once by `uec init` for the tests of `uec keys`, copied for each; and what its custodians type."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click.testing
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from card_io.ciphers import kcv_aes
from issuance.keys import shares
from issuance.keys.custodians import Place
from issuance.keys.file_vault import FileVault
from tests.support.keys import CHEAP, PASSPHRASES
from uec.cli import run
from uec.cli.keys import keys
from uec.services import key_ceremonies
from uec.store.engine import make_engine, session_factory
from uec.store.tables import AuditEntry

FIRST, SECOND = bytes(range(16)), bytes(range(100, 116))
OPEN = ["--passphrase-file", "first", "--passphrase-file", "second"]


def make_office(folder: Path) -> Path:
    """Run `uec init` in a folder, with cheap passphrases: many unlockings, none of them to be guessed."""
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        for name, text in (("first", PASSPHRASES[0]), ("second", PASSPHRASES[1])):
            (folder / name).write_bytes(text.reveal())
        (folder / "password").write_text("Korotkiy-put-7-dney\n")
        assert run(["init", *OPEN, "--admin-password-file", "password"]) == 0
    return folder


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in an office's folder until the patch ends."""
    patch.chdir(folder)
    patch.delenv("UEC_SETTINGS", raising=False)
    for method in (FileVault.create.__func__, FileVault.reseal):  # type: ignore[attr-defined]
        patch.setitem(method.__kwdefaults__, "cost", CHEAP)


def copy_of(made: Path, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """A copy of an office, to work in."""
    shutil.copytree(made, folder, dirs_exist_ok=True)
    enter(folder, patch)
    return folder


def ask(*arguments: str, typed: str = "") -> click.testing.Result:
    """Run a command of the group and type what it asks for."""
    return click.testing.CliRunner().invoke(keys, [*arguments, *OPEN], input=typed)


def said(done: click.testing.Result) -> str:
    """What stood on the screen, and the one sentence of the error."""
    return f"{done.output}{done.exception or ''}"


def entry(name: str, component: bytes) -> str:
    """A custodian's name, component and check value, as they are typed."""
    return f"{name}\n{component.hex()}\n{kcv_aes(component).hex()}\n"


def share_entry(name: str, share: shares.Share) -> str:
    """A custodian's name, share and check value, as they are typed."""
    return f"{name}\n{share.words.reveal().decode()}\n{share.check_value}\n"


def history_of(office: Path) -> dict[str, Place]:
    """Who has had which part, by the audit."""
    engine = make_engine(f"sqlite:///{office / 'state' / 'uec.db'}")
    with session_factory(engine)() as session:
        held = key_ceremonies.history(session)
    engine.dispose()
    return held


def actions_of(office: Path) -> list[str]:
    """What the audit says was done with keys, in its order."""
    engine = make_engine(f"sqlite:///{office / 'state' / 'uec.db'}")
    with session_factory(engine)() as session:
        found = list(session.scalars(select(AuditEntry.action).where(AuditEntry.action.startswith("key."))))
    engine.dispose()
    return found


@contextmanager
def store_of(office: Path) -> Iterator[Session]:
    """A session of an office's database."""
    engine = make_engine(f"sqlite:///{office / 'state' / 'uec.db'}")
    with session_factory(engine)() as session:
        yield session
    engine.dispose()
