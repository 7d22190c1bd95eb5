"""`uec bureau stand-in`: a bureau for rehearsals, with errors on demand; needs no database and no settings."""

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uec.cli.options import now
from uec.domain.errors import InvalidInput

if TYPE_CHECKING:
    from card_io.secret import Secret
    from issuance.production.profile import CardProfile

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


def _fault_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A flag for each error on demand."""
    from issuance.bureau.standin.faults import HELP, Fault  # noqa: PLC0415

    flags = [click.option(f"--{fault}", fault.name, is_flag=True, help=HELP[fault]) for fault in reversed(Fault)]
    return reduce(lambda made, flag: flag(made), flags, command)


class _Percent(click.ParamType[float]):
    """A share written as `2%` or `2`."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            share = float(str(value).rstrip("%")) / 100
        except ValueError:
            self.fail(f"{value} is no percentage: write 2%", param, ctx)
        if not 0 <= share < 1:
            self.fail("a percentage is from 0 to less than 100", param, ctx)
        return share


@click.command("stand-in")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="The bureau's folder.")
@click.option("--code", required=True, help="The bureau's code at the office.")
@click.option("--init", is_flag=True, help="Make its keys and certificates (in KEYS) and end.")
@click.option("--keys", type=click.Path(file_okay=False, path_type=Path), help="Its keys; default: keys in FOLDER.")
@click.option(
    "--key-type",
    type=click.Choice(["ec-p256", "ec-p384", "rsa-3072"]),
    default="ec-p256",
    show_default=True,
    help="What --init makes.",
)
@click.option(
    "--component", "components", type=_file, multiple=True, help="Transport key component (hex); two or more."
)
@click.option(
    "--office", type=_file, help="The certificate that orders are signed with: `uec bureau office-certificate`."
)
@click.option(
    "--profiles",
    type=click.Path(file_okay=False, path_type=Path),
    default="config/profiles",
    show_default=True,
    help="Folder of card profiles.",
)
@click.option("--spoil", type=_Percent(), default="0", help="Share of blanks to spoil, like 2%.")
@_fault_options
def stand_in(
    folder: Path,
    code: str,
    keys: Path | None,
    key_type: str,
    components: tuple[Path, ...],
    office: Path | None,
    profiles: Path,
    spoil: float,
    *,
    init: bool,
    **flags: bool,
) -> None:
    """Be a bureau for rehearsals: take what lies in FOLDER/in, make virtual cards, report into FOLDER/out.

    A real program that shares nothing with the office but the files: it decrypts with its own key, opens the blanks
    with the keys that came wrapped for it, makes every card over SCP03, and signs what it reports. The cards lie in
    FOLDER/cards and can be put into any reader. Needs no database and no settings. Run it once for what is there.

    \b
      uec bureau stand-in --folder bureaux/NORTH --code NORTH --init --component a.hex --component b.hex --office o.pem
      uec bureau stand-in --folder bureaux/NORTH --code NORTH --spoil 2% --duplicate-key
    """
    from secrets import token_bytes  # noqa: PLC0415

    from issuance.bureau.standin import identity  # noqa: PLC0415
    from issuance.bureau.standin.bureau import StandIn  # noqa: PLC0415
    from issuance.bureau.standin.faults import Fault  # noqa: PLC0415
    from issuance.production.profile import load_profile  # noqa: PLC0415

    place = keys or folder / "keys"
    if init:
        identity.create(place, code, now=now(), kind=key_type)
    if components:
        identity.keep_transport(place, _combined(components))
    if office:
        identity.keep_office(place, identity.read_certificate(office))
    if init:
        click.echo(f"{place}: encryption.pem and signature.pem are for the office")
        return
    faults = [fault for fault in Fault if flags[fault.name]]

    def profile_of(name: str) -> "CardProfile":
        return load_profile(profiles / f"{name}.toml")

    me = identity.load(place)
    made = StandIn(folder, code.upper(), me, profile_of, now, token_bytes, spoil, faults)
    lines = list(made.run())
    click.echo("\n".join(lines) or f"nothing lies in {folder / 'in'}")


def _combined(components: tuple[Path, ...]) -> "Secret":
    """The transport key out of its components, as in the ceremony at the office."""
    from card_io.secret import Secret  # noqa: PLC0415
    from issuance.keys import card_keys  # noqa: PLC0415

    try:
        parts = tuple(Secret(bytes.fromhex(path.read_text("ascii").strip())) for path in components)
    except (ValueError, UnicodeDecodeError):
        raise InvalidInput("A component is a line of 64 hexadecimal digits in a file.", field="component") from None
    return card_keys.combine(parts, 32)
