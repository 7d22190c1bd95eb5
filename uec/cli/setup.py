"""`uec init`: a new installation in one go."""

from pathlib import Path
from secrets import token_bytes

import click

from uec.cli.options import now, passphrase_files_option, read_passphrases, settings_file
from uec.services.installation import Administrator, install
from uec.settings import find_settings_file, load_settings

TEMPLATE = """\
# Settings of this installation; every key has a default, `uec` refuses a key it does not know.
# Relative paths count from this file's folder.
state_dir = "state"
profile_dir = "{profiles}"

# SQLite beside the state by default; for PostgreSQL: postgresql://USER@HOST/NAME
# database_url = "postgresql://uec@localhost/uec"

[pki]
country = "RU"
organisation = "{organisation}"
"""
SHIPPED_PROFILES = Path(__file__).parents[2] / "config" / "profiles"


@click.command()
@click.option("--organisation", default="Уполномоченная организация", show_default=True, help="Written to cards.")
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

    Two custodians type a passphrase each, twice; nobody needs to know both. What is there already stays: running it
    again goes on where it stopped.
    """
    file = find_settings_file(settings_file())
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEMPLATE.format(profiles=SHIPPED_PROFILES, organisation=organisation), encoding="utf-8")
        click.echo(f"settings: wrote {file}")
    settings = load_settings(file)
    confirm = not settings.vault_path.exists()
    passphrases = read_passphrases(passphrase_files, confirm=confirm)
    password = (
        admin_password_file.read_text(encoding="utf-8").rstrip("\r\n")
        if admin_password_file
        else click.prompt(f"Password of {admin_login}", hide_input=True, confirmation_prompt=confirm)
    )
    install(
        settings,
        passphrases=passphrases,
        administrator=Administrator(admin_login, admin_name, password),
        now=now(),
        random=token_bytes,
        say=click.echo,
    )
    click.echo("Done. Start the processes: uec vault, uec hub, uec worker, uec scheduler, uec serve.")
