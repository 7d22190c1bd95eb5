"""`uec init`: a new installation in one go."""

import json
import tomllib
from pathlib import Path
from secrets import token_bytes

import click

from uec.cli.options import now, passphrase_files_option, read_passphrases, read_password, settings_file
from uec.domain.errors import InvalidInput
from uec.services.installation import Administrator, has_administrator, install
from uec.services.passwords import require_strong
from uec.services.whole_file import whole_file
from uec.settings import PkiNames, find_settings_file, load_settings, settings_from, shipped_profiles

TEMPLATE = """\
# Settings of this installation; every key has a default, `uec` refuses a key it does not know.
# Relative paths count from this file's folder.
state_dir = "state"
profile_dir = {profiles}

# SQLite beside the state by default; for PostgreSQL: postgresql://USER@HOST/NAME
# database_url = "postgresql://uec@localhost/uec"

[pki]
country = "RU"
organisation = {organisation}
"""
DEFAULT_ORGANISATION = PkiNames().organisation


@click.command()
@click.option("--organisation", default=DEFAULT_ORGANISATION, show_default=True, help="Written to cards.")
@click.option("--admin-login", default="admin", show_default=True, help="Login of the first administrator.")
@click.option("--admin-name", default="Администратор", show_default=True, help="Name shown for the administrator.")
@click.option(
    "--admin-password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the administrator's password; asked for without it.",
)
@passphrase_files_option
def init(
    organisation: str,
    admin_login: str,
    admin_name: str,
    admin_password_file: Path | None,
    passphrase_files: tuple[Path, ...],
) -> None:
    """Make settings, database, vault, authority and the first administrator.

    Two custodians type a passphrase each, twice; nobody needs to know both. What is there already stays, and each line
    says so: run it again where it stopped, or after a new version of the software, whose tables and keys it adds.
    """
    file = find_settings_file(settings_file())
    template = TEMPLATE.format(profiles=_quoted(str(shipped_profiles())), organisation=_quoted(organisation))
    is_new = not file.exists()
    settings = settings_from(tomllib.loads(template), file.absolute()) if is_new else load_settings(file)
    if not is_new and organisation not in {DEFAULT_ORGANISATION, settings.pki.organisation}:
        raise InvalidInput(f"{file} is there already and names another organisation; change it there.")
    confirm = not settings.vault_path.exists()
    passphrases = read_passphrases(passphrase_files, confirm=confirm)
    administrator = None
    if is_new or not has_administrator(settings):
        password = read_password(admin_login, admin_password_file, confirm=True)
        require_strong(password, admin_login)
        administrator = Administrator(admin_login, admin_name, password)
    if is_new:
        # Only now: what was asked for was answered, so that nothing is left behind by a slip at the prompts.
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as out:
            out.write(template)
        click.echo(f"settings: wrote {file}")
    else:
        click.echo(f"settings: {file} is there, and stays as it is")
    install(
        settings,
        passphrases=passphrases,
        administrator=administrator,
        now=now(),
        random=token_bytes,
        say=click.echo,
    )
    click.echo("Done. Start the processes: uec vault, uec hub, uec worker, uec scheduler, uec ocsp run, uec serve.")


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON's escapes are among its own, but for the one sign that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
