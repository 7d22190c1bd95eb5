"""Options that many commands share, and what they open: settings, database, the person who acts."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from card_io.secret import Secret
    from uec.domain.actors import Actor
    from uec.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
SETTINGS_KEY = "uec.settings"
# Ids and counts as PostgreSQL's INTEGER and SQLite hold them: a longer number is a typing error, not an overflow.
ID = click.IntRange(1, 2**31 - 1)


def _keep_settings(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    ctx.meta[SETTINGS_KEY] = value
    return value


settings_option = click.option(
    "--settings",
    "settings_file",
    type=click.Path(dir_okay=False),
    envvar="UEC_SETTINGS",
    expose_value=False,
    callback=_keep_settings,
    help="The settings file (TOML); default uec.toml in this folder.",
)


def settings_file() -> str | None:
    """The file named by --settings or UEC_SETTINGS, if any."""
    value = click.get_current_context().meta.get(SETTINGS_KEY)
    return str(value) if value else None


def settings() -> "Settings":
    """The settings; raises `InvalidSettings` with what is wrong in them."""
    from uec.settings import load_settings  # noqa: PLC0415 - only when a command needs it

    return load_settings(settings_file())


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


@contextmanager
def store(chosen: "Settings") -> "Iterator[sessionmaker[Session]]":
    """The database, checked to be of this version."""
    from uec.store.engine import make_engine, session_factory  # noqa: PLC0415
    from uec.store.migrate import require_current  # noqa: PLC0415

    require_current(chosen.database_url)
    engine = make_engine(chosen.database_url)
    try:
        yield session_factory(engine)
    finally:
        engine.dispose()


@contextmanager
def reading_store(chosen: "Settings") -> "Iterator[Session]":
    """A session that only reads: nobody who writes waits for it, nor it for them."""
    from uec.store.engine import reading  # noqa: PLC0415

    with store(chosen) as sessions, reading(sessions) as session:
        yield session


def login_options(command: F) -> F:
    """Add --login and --password-file: who acts stands in the audit."""
    password_file = click.option(
        "--password-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="UEC_PASSWORD_FILE",
        help="File with the password; asked for without it.",
    )
    login = click.option("--login", required=True, envvar="UEC_LOGIN", help="Who acts; stands in the audit.")
    return login(password_file(command))


def signed_in(session: "Session", login: str, password_file: Path | None) -> "Actor":
    """The member of staff behind --login; raises `SignInRefused`."""
    from uec.services.staff import sign_in  # noqa: PLC0415

    return sign_in(session, login, read_password(login, password_file), now())


def read_password(login: str, password_file: Path | None, *, confirm: bool = False) -> str:
    """The password from its file, or asked for at the terminal (twice with `confirm`)."""
    if password_file is not None:
        return read_line(password_file)
    return ask_secret(f"Password of {login}", confirm=confirm)


def read_line(file: Path) -> str:
    """The one line of a small text file without its end; raises `InvalidFile` when it is no text."""
    from uec.domain.errors import InvalidFile  # noqa: PLC0415

    try:
        return file.read_bytes().decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise InvalidFile(f"{file} is not UTF-8 text; write it anew as one line of text.", path=file) from None


def ask_secret(question: str, *, confirm: bool = False) -> str:
    """What somebody types at the terminal without showing it; without a terminal, a line of standard input."""
    typed: str = click.prompt(question, hide_input=_has_terminal(), confirmation_prompt=confirm)
    return typed


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin.isatty()
    return True


def read_passphrases(files: tuple[Path, ...], *, confirm: bool = False) -> "tuple[Secret, Secret]":
    """Both custodians' passphrases: from two files, else typed in turn (twice each with `confirm`)."""
    from card_io.secret import Secret  # noqa: PLC0415
    from uec.domain.errors import InvalidInput  # noqa: PLC0415

    if files and len(files) != 2:
        raise InvalidInput("Name two passphrase files, one for each custodian, or none to type the passphrases.")
    if files:
        first, second = (file.read_bytes().rstrip(b"\r\n") for file in files)
        return Secret(first), Secret(second)
    typed = [ask_secret(f"Passphrase of the {who} custodian", confirm=confirm) for who in ("first", "second")]
    return Secret(typed[0].encode()), Secret(typed[1].encode())


passphrase_files_option = click.option(
    "--passphrase-file",
    "passphrase_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a custodian's passphrase; name it twice, once for each. Asked for without it.",
)
