"""`uec station`: the agent at a window. Imports neither web framework nor database."""

import re
from pathlib import Path

import click

from uec.processes import log_to_stderr, stop_event

DEFAULT_FOLDER = Path.home() / ".uec-station"
PIN = re.compile(r"[0-9a-f]{64}(,[0-9a-f]{64})*")


def _addresses(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse at once what can never be a hub's address; one that does not answer now is waited for."""
    from issuance.station.errors import BadAddress, HubAway, HubUnsafe  # noqa: PLC0415
    from issuance.station.link import check_address  # noqa: PLC0415

    for url in value.split(","):
        try:
            check_address(url.strip())
        except (BadAddress, HubUnsafe) as error:
            raise click.BadParameter(str(error), context, parameter) from error
        except HubAway:
            continue
    return value


def _pins(context: click.Context, parameter: click.Parameter, value: str) -> str:
    pins = "".join(value.split()).lower()
    if pins and not PIN.fullmatch(pins):
        raise click.BadParameter("A pin has 64 hexadecimal digits, as the hub's log tells it.", context, parameter)
    return pins


_folder = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_FOLDER,
    show_default=True,
    envvar="UEC_STATION",
    help="Where the station keeps its key.",
)
_hub = click.option(
    "--hub",
    "hub_url",
    required=True,
    envvar="UEC_HUB_URL",
    callback=_addresses,
    help="Address of the hub, wss://HOST:PORT; several parted by commas stand in for each other.",
)
_pin = click.option(
    "--pin",
    default="",
    envvar="UEC_HUB_PIN",
    callback=_pins,
    help="The hub's key as its log tells it; needed where no public authority certified the hub. It is kept: give it "
    "again only when the hub gets a new key. Several are parted by commas.",
)


@click.group()
def station() -> None:
    """Run a window's readers and its link to the office.

    A station is enrolled once with a code that `uec points station` printed; it holds no card key.
    """


@station.command()
@click.option("--code", required=True, help="The one-time code.")
@_hub
@_folder
@_pin
def enrol(code: str, hub_url: str, folder: Path, pin: str) -> None:
    """Make the station's key and enter it at the office, once."""
    from issuance.station.agent import enrol as enrol_station  # noqa: PLC0415
    from issuance.station.settings import StationSettings  # noqa: PLC0415

    enrol_station(StationSettings(folder, hub_url, pin=pin), code)
    click.echo(f"Enrolled. Start it with: uec station run --hub {hub_url}")


@station.command()
@click.option(
    "--readers",
    default="pcsc",
    show_default=True,
    help="pcsc: the readers of this machine; virtual:FOLDER: one reader for each card file there.",
)
@_hub
@_folder
@_pin
def run(readers: str, hub_url: str, folder: Path, pin: str) -> None:
    """Keep the link and serve the readers until stopped; mends itself when reader, network or office go away."""
    from issuance.station.agent import run_station  # noqa: PLC0415
    from issuance.station.identity import StationIdentity  # noqa: PLC0415
    from issuance.station.settings import StationSettings  # noqa: PLC0415

    StationIdentity.load(folder)  # says at once when this station is not enrolled
    log_to_stderr()
    stop = stop_event()
    click.echo("station runs; stop it with Ctrl-C", err=True)
    run_station(StationSettings(folder, hub_url, readers, pin), stop=stop)
