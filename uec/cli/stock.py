"""`uec stock`: stores, deliveries, boxes, transfers, shifts, balances, acts of destruction, quarantine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from uec.cli.options import ID, login_options, now, settings, signed_in, store
from uec.cli.tables import show, show_json
from uec.domain.stock import StoreKind, SubjectKind, parse_ranges

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from uec.domain.actors import Actor
    from uec.services.stock_ledger import Wanted

BALANCE = ("name", "received", "good", "spoiled", "returned", "destroyed", "in hand", "missing", "sent", "difference")

QUARANTINE = ("id", "kind", "label", "state", "imposed_at", "reason", "evidence", "released_at", "release_reason")


@contextmanager
def _acting(login: str, password_file: Path | None) -> "Iterator[tuple[Session, Actor]]":
    with store(settings()) as sessions, sessions() as session:
        yield session, signed_in(session, login, password_file)


@click.group()
def stock() -> None:
    """Keep the stock of blank cards, to the last blank."""


@stock.command("add-store")
@click.argument("code")
@click.argument("name")
@click.option("--point", type=ID, help="The point whose store it is.")
@click.option("--station", type=ID, help="The station of the line whose store it is.")
@click.option("--unchecked", is_flag=True, help="Let chips be written there that are in no shift's stock.")
@login_options
def add_store(
    code: str,
    name: str,
    point: int | None,
    station: int | None,
    *,
    unchecked: bool,
    login: str,
    password_file: Path | None,
) -> None:
    """Enter a store: the central one, or that of a point or of a line."""
    from uec.services import stock_intake  # noqa: PLC0415

    kind = StoreKind.POINT if point else StoreKind.LINE if station else StoreKind.CENTRAL
    with _acting(login, password_file) as (session, actor):
        made = stock_intake.add_store(
            session, code=code, name=name, kind=kind, point_id=point, station_id=station, enforced=not unchecked,
            actor=actor, now=now(),
        )  # fmt: skip
    click.echo(f"store {made}: entered")


@stock.command()
@click.argument("boxes", type=click.File(encoding="utf-8"))
@click.option("--store", "store_id", type=ID, required=True, help="Id of the store that takes it in.")
@click.option("--maker", required=True, help="Who made the blanks.")
@click.option("--note", required=True, help="Number of the delivery note.")
@click.option("--profile", default="uec", show_default=True, help="Card profile that the blanks are for.")
@click.option("--key-version", type=ID, required=True, help="Version of the transport key set in the vault.")
@click.option("--check-value", required=True, help="Its check value, from the maker's letter.")
@click.option(
    "--diversification",
    type=click.Choice(["kdf3", "none"]),
    default="kdf3",
    show_default=True,
    help="How a chip's keys follow from the transport key: by GlobalPlatform's KDF3, or all have that key itself.",
)
@login_options
def deliver(
    boxes: IO[str],
    store_id: int,
    maker: str,
    note: str,
    profile: str,
    key_version: int,
    check_value: str,
    diversification: str,
    login: str,
    password_file: Path | None,
) -> None:
    """Take a delivery in; the file BOXES has a line `BOX FIRST-LAST` for each box."""
    from uec.services import stock_intake  # noqa: PLC0415

    form = stock_intake.DeliveryForm(
        maker,
        note,
        profile,
        key_version,
        diversification,
        check_value,
        store_id,
        stock_intake.parse_boxes(boxes.read()),
    )
    with _acting(login, password_file) as (session, actor):
        made = stock_intake.deliver(session, form, actor=actor, now=now())
    click.echo(f"delivery {made}: {sum(box.blanks for box in form.boxes)} blanks in {len(form.boxes)} boxes")


@stock.command()
@click.argument("by", type=click.Choice(["box", "batch", "shift", "point"]))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@login_options
def balance(by: str, *, as_json: bool, login: str, password_file: Path | None) -> None:
    """Show the mass balance of every box, batch, shift or point."""
    from uec.services import stock_balance, stock_lists  # noqa: PLC0415

    with _acting(login, password_file) as (session, actor):
        if by == "shift":
            lines = [stock_balance.by_shift(session, key, actor=actor) for key in stock_lists.shift_ids(session)]
        else:
            read = {"box": stock_balance.by_box, "batch": stock_balance.by_batch, "point": stock_balance.by_store}[by]
            lines = read(session, actor=actor)
    facts = [{"name": line.name, **vars(line.balance), "difference": line.balance.difference} for line in lines]
    if as_json:
        for one in facts:
            show_json(one)
    else:
        show(BALANCE, [tuple(one.values()) for one in facts])


@stock.command()
@login_options
def verify(login: str, password_file: Path | None) -> None:
    """Add the whole ledger up anew; exit code 1 when anything does not agree."""
    from uec.services import stock_balance  # noqa: PLC0415

    with _acting(login, password_file) as (session, _actor):
        wrong = stock_balance.verify(session)
    for line in wrong:
        click.echo(line)
    if wrong:
        raise SystemExit(1)
    click.echo("the stock agrees with its ledger")


@stock.command()
@click.argument("giver", type=ID)
@click.argument("taker", type=ID)
@click.option("--seal", required=True, help="Its number; each seal is used once.")
@click.option("--box", "boxes", multiple=True, required=True, help="BOX or BOX:COUNT; may be repeated.")
@login_options
def transfer(giver: int, taker: int, seal: str, boxes: tuple[str, ...], login: str, password_file: Path | None) -> None:
    """Send boxes from the store GIVER to the store TAKER under a seal."""
    from uec.services import stock_transfers  # noqa: PLC0415

    with _acting(login, password_file) as (session, actor):
        made = stock_transfers.send(
            session, giver_id=giver, taker_id=taker, seal=seal, contents=_wanted(session, boxes), actor=actor, now=now()
        )
    click.echo(f"transfer {made}: sent")


@stock.command()
@click.argument("transfer_id", type=ID)
@click.option("--seal", required=True, help="As you read it.")
@click.option("--count", required=True, type=int, help="Blanks as you counted them.")
@login_options
def receive(transfer_id: int, seal: str, count: int, login: str, password_file: Path | None) -> None:
    """Receive a consignment as another person than its sender."""
    from uec.services import stock_transfers  # noqa: PLC0415

    with _acting(login, password_file) as (session, actor):
        stock_transfers.receive(session, transfer_id, stock_transfers.Found(seal, count), actor=actor, now=now())
    click.echo(f"transfer {transfer_id}: received")


@stock.command("open-shift")
@click.argument("store_id", type=ID)
@click.option("--station", type=ID, help="Id of the station that you work at, if it is a certain one.")
@login_options
def open_shift(store_id: int, station: int | None, login: str, password_file: Path | None) -> None:
    """Open your shift with blanks of a store."""
    from uec.services import stock_shifts  # noqa: PLC0415

    with _acting(login, password_file) as (session, actor):
        made = stock_shifts.open_shift(session, store_id=store_id, station_id=station, actor=actor, now=now())
    click.echo(f"shift {made}: open")


@stock.command()
@click.argument("shift_id", type=ID)
@click.option("--box", "boxes", multiple=True, required=True, help="BOX or BOX:COUNT; may be repeated.")
@click.option("--back", is_flag=True, help="Take them back from the shift instead.")
@login_options
def issue(shift_id: int, boxes: tuple[str, ...], *, back: bool, login: str, password_file: Path | None) -> None:
    """Issue blanks to a shift, as another person than its operator."""
    from uec.services import stock_shifts  # noqa: PLC0415

    work = stock_shifts.give_back if back else stock_shifts.issue
    with _acting(login, password_file) as (session, actor):
        moved = work(session, shift_id, _wanted(session, boxes), actor=actor, now=now())
    click.echo(f"shift {shift_id}: {moved} blanks {'taken back' if back else 'issued'}")


@stock.command("close-shift")
@click.argument("shift_id", type=ID)
@click.option("--reason", default="", help="Why somebody else than its operator closes it.")
@login_options
def close_shift(shift_id: int, reason: str, login: str, password_file: Path | None) -> None:
    """Close a shift; refused while it does not balance, with the boxes and chips that are unaccounted for."""
    from uec.services import stock_shifts  # noqa: PLC0415

    with _acting(login, password_file) as (session, actor):
        stock_shifts.close(session, shift_id, actor=actor, now=now(), reason=reason)
    click.echo(f"shift {shift_id}: closed")


@stock.command()
@click.argument("shift_id", type=ID)
@click.argument("chips")
@click.option("--reason", required=True, help="What happened; kept in the ledger.")
@login_options
def spoil(shift_id: int, chips: str, reason: str, login: str, password_file: Path | None) -> None:
    """Record blanks of your shift as spoiled; CHIPS are FIRST-LAST or single chips."""
    from uec.services import stock_shifts  # noqa: PLC0415

    with _acting(login, password_file) as (session, actor):
        moved = stock_shifts.spoil(session, shift_id, parse_ranges(chips), reason=reason, actor=actor, now=now())
    click.echo(f"shift {shift_id}: {moved} spoiled")


@stock.command()
@click.argument("shift_id", type=ID)
@click.argument("chips")
@click.option("--reason", required=True, help="What happened; kept in the ledger.")
@login_options
def miss(shift_id: int, chips: str, reason: str, login: str, password_file: Path | None) -> None:
    """Record, as quality, that blanks of an open shift cannot be found; CHIPS as for `spoil`."""
    from uec.services import stock_shifts  # noqa: PLC0415

    with _acting(login, password_file) as (session, actor):
        moved = stock_shifts.miss(session, shift_id, parse_ranges(chips), reason=reason, actor=actor, now=now())
    click.echo(f"shift {shift_id}: {moved} missing")


@stock.command()
@click.argument("store_id", type=ID)
@click.option("--method", required=True, help="How they are destroyed.")
@login_options
def destroy(store_id: int, method: str, login: str, password_file: Path | None) -> None:
    """Propose an act over everything spoiled or handed in at a store; another person confirms it."""
    from uec.services import stock_destruction  # noqa: PLC0415

    with _acting(login, password_file) as (session, actor):
        made = stock_destruction.propose(session, store_id=store_id, method=method, actor=actor, now=now())
    click.echo(f"act {made}: proposed")


@stock.command("confirm-destruction")
@click.argument("act_id", type=ID)
@login_options
def confirm_destruction(act_id: int, login: str, password_file: Path | None) -> None:
    """Confirm an act as its second person."""
    from uec.services import stock_destruction  # noqa: PLC0415

    with _acting(login, password_file) as (session, actor):
        count = stock_destruction.confirm(session, act_id, actor=actor, now=now())
    click.echo(f"act {act_id}: {count} destroyed")


@stock.command()
@click.argument("act_id", type=ID)
@click.option("--out", type=click.File("wb"), required=True, help="Where the PDF goes.")
@login_options
def act(act_id: int, out: IO[bytes], login: str, password_file: Path | None) -> None:
    """Write an act of destruction as PDF, with room for two signatures."""
    from uec.services.printing import FONTS  # noqa: PLC0415
    from uec.services.stock_act import act_pdf  # noqa: PLC0415

    chosen = settings()
    with _acting(login, password_file) as (session, actor):
        zone = chosen.policy.zone
        pdf = act_pdf(session, act_id, fonts=FONTS, office=chosen.pki.organisation, zone=zone, actor=actor, now=now())
    out.write(pdf)
    click.echo(f"act {act_id}: {len(pdf)} bytes", err=True)


@stock.command()
@click.argument("store_id", type=ID)
@click.option("--chips", required=True, help="Serials as they stand on the blanks: FIRST-LAST, several with commas.")
@click.option("--reason", required=True, help="What happened; kept in the ledger.")
@login_options
def found(store_id: int, chips: str, reason: str, login: str, password_file: Path | None) -> None:
    """Take missing blanks that turned up into a store."""
    from uec.services import stock_cards  # noqa: PLC0415

    with _acting(login, password_file) as (session, actor):
        count = stock_cards.found_again(
            session, parse_ranges(chips), store_id=store_id, reason=reason, actor=actor, now=now()
        )
    click.echo(f"store {store_id}: {count} found")


@stock.command()
@click.option("--impose", "kind", type=click.Choice([kind.value for kind in SubjectKind]), help="Quarantine by hand.")
@click.option("--subject", help="Station or staff id, STATION:READER, or the 12 digits of a lot.")
@click.option("--release", "released", type=ID, help="Release this quarantine.")
@click.option("--reason", default="", help="Why it is imposed or released; kept with it.")
@click.option("--json", "as_json", is_flag=True, help="List with the evidence: one JSON object a line.")
@login_options
def quarantine(
    kind: str | None,
    subject: str | None,
    released: int | None,
    reason: str,
    *,
    as_json: bool,
    login: str,
    password_file: Path | None,
) -> None:
    """List quarantines, impose one by hand, or release one."""
    from uec.services import quality  # noqa: PLC0415

    with _acting(login, password_file) as (session, actor):
        if kind is not None:
            made = quality.impose(session, SubjectKind(kind), subject or "", reason=reason, actor=actor, now=now())
            click.echo(f"quarantine {made}: imposed")
        elif released is not None:
            quality.release(session, released, reason=reason, actor=actor, now=now())
            click.echo(f"quarantine {released}: released")
        else:
            rows = [{name: getattr(row, name) for name in QUARANTINE} for row in quality.list_quarantines(session)]
            if as_json:
                for row in rows:
                    show_json(row)
            else:
                columns = [name for name in QUARANTINE if name != "evidence"]
                show(columns, [[row[name] for name in columns] for row in rows])


def _wanted(session: "Session", boxes: tuple[str, ...]) -> "list[Wanted]":
    from uec.services.stock_ledger import Wanted  # noqa: PLC0415
    from uec.services.stock_lists import box_of_number  # noqa: PLC0415

    wanted = []
    for text in boxes:
        number, named, count = text.partition(":")
        if named and not (count.isascii() and count.isdigit()):
            raise click.BadParameter(f"{text!r}: write BOX, or BOX:COUNT with a whole number.", param_hint="'--box'")
        wanted.append(Wanted(box_of_number(session, number), int(count) if named else None))
    return wanted
