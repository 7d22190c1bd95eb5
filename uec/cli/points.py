"""`uec points`: where applications are taken and cards handed over, and the stations that stand there."""

from datetime import datetime
from pathlib import Path
from secrets import token_bytes

import click

from uec.cli.options import ID, login_options, now, reading_store, settings, signed_in, store
from uec.cli.tables import show
from uec.services.views import PointView, StationView


@click.group()
def points() -> None:
    """Add issuance points and stations."""


@points.command("list")
def list_points() -> None:
    """List the points."""
    from uec.services import points as service  # noqa: PLC0415

    with reading_store(settings()) as session:
        rows = service.list_points(session)
    show(
        ("id", "code", "name", "address", "windows", "cards a day"),
        [(row.id, row.code, row.name_ru, row.address, row.windows, row.daily_capacity) for row in rows],
    )


@points.command()
@click.argument("code")
@click.option("--name-ru", required=True, help="Name in Russian, as citizens read it.")
@click.option("--name-en", required=True, help="Name in English.")
@click.option("--address", required=True, help="Where people go.")
@click.option("--oktmo", required=True, help="Municipality it serves.")
@click.option("--windows", default=1, show_default=True, type=click.IntRange(1, 1000), help="How many work at once.")
@click.option(
    "--daily-capacity", default=50, show_default=True, type=click.IntRange(0, 1_000_000), help="Cards a working day."
)
@login_options
def add(
    code: str,
    name_ru: str,
    name_en: str,
    address: str,
    oktmo: str,
    windows: int,
    daily_capacity: int,
    login: str,
    password_file: Path | None,
) -> None:
    """Add a point with the short CODE staff use; --login is an administrator."""
    from uec.services import points as service  # noqa: PLC0415

    point = PointView(0, code, name_ru, name_en, address, windows, daily_capacity)
    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        point_id = service.add(session, point=point, oktmo=oktmo, actor=actor, now=now())
    click.echo(f"point {code} added with id {point_id}")


@points.command("stations")
def list_stations() -> None:
    """List the stations: where they stand, their readers, whether they are on line or wait for their code."""
    from uec.services import stations  # noqa: PLC0415

    moment = now()
    with reading_store(settings()) as session:
        rows = stations.list_stations(session, now=moment)
    show(
        ("id", "name", "point", "state", "last seen", "readers"),
        [
            (
                row.id,
                row.name,
                row.point_id or "",
                _state(row, moment),
                row.last_seen_at or "",
                ", ".join(str(reader["name"]) for reader in row.readers),
            )
            for row in rows
        ],
    )


def _state(station: StationView, moment: datetime) -> str:
    if station.waits_until is not None:
        return "waits for its code" if station.waits_until > moment else "code too old"
    return "on line" if station.online else "off line"


@points.command("revoke-station")
@click.argument("station_id", type=ID)
@login_options
def revoke_station(station_id: int, login: str, password_file: Path | None) -> None:
    """Shut a station out for good: its link ends, its key is worth nothing."""
    from uec.services import stations  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        stations.revoke(session, station_id, actor=actor, now=now())
    click.echo(f"station {station_id} is revoked")


@points.command()
@click.argument("name")
@click.option("--point", type=ID, help="Id of the point it stands at.")
@login_options
def station(name: str, point: int | None, login: str, password_file: Path | None) -> None:
    """Enter a station and print its one-time code, valid for a day: uec station enrol --code CODE --hub URL."""
    from uec.hub.enrolment import code_hash, new_code  # noqa: PLC0415
    from uec.services import stations  # noqa: PLC0415

    code = new_code(token_bytes)
    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        stations.create(session, name=name, point_id=point, code_hash=code_hash(code), actor=actor, now=now())
    click.echo(code)
