"""`uec bureau`: outside bureaux, orders to them and what comes back; and a bureau that stands in for one."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from uec.cli import bureau_partners, bureau_standin
from uec.cli.bureau_acting import acting
from uec.cli.options import ID, login_options, now, reading_store, settings
from uec.cli.tables import show, show_facts, show_json
from uec.domain.bureau import Certificates, ConsignmentState, FileRefused

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from issuance.keys.client import VaultClient
    from uec.services.bureau_exchange import Counter, NotTaken
    from uec.services.bureau_taking import Taken
    from uec.settings import Settings
    from uec.store.tables import BureauConsignment

_folder = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where files are exchanged: CODE/in for a bureau, CODE/out from it. Default: bureaux in the state folder.",
)


@click.group()
def bureau() -> None:
    """Have batches made by an outside personalisation bureau.

    \b
    The way of a bureau into the office (each step by one person, its approval by another):
      uec stock add-store NORTH "Blanks at the bureau"      its blanks, then deliver or transfer some there
      uec keys rotate card-master                           unless there was one before: a bureau gets keys of the
                                                            version before the one in use, and cards the newest at
                                                            their hand-over
      uec keys ceremony --purpose bureau-transport --algorithm aes-256
      uec bureau add NORTH "Northern bureau" --store 3 --cards-per-day 5000 --key-version 1
      uec bureau certificate NORTH encryption.pem --use encryption     (and --use signature)
      uec bureau lot 479005007411 47906035SSSSSSSS7411      from the maker's letter

    \b
    The way of a batch:
      uec plan make                                         the plan gives a batch to the bureau where that pays
      uec bureau order B-000007                             by itself every minute once it is released and prepared;
                                                            --bureau NORTH for a batch of another line
      uec bureau approve-order BO-000001                    a releaser
      uec bureau send                                       the file lies in CODE/in, signed and encrypted
      uec bureau take                                       acknowledgement and results out of CODE/out
      uec bureau receive 1 --seal SEAL-1, uec bureau close BO-000001
    """


@bureau.command()
@click.argument("batch")
@click.option("--bureau", "code", help="Its code. Default: the bureau that the plan gave the batch to.")
@click.option(
    "--certificates",
    type=click.Choice([way.value for way in Certificates]),
    help="Written at hand-over, or by the bureau from an answer file. Default: as the card profile says.",
)
@click.option("--spare", type=click.IntRange(0), help="Blanks beside one a card. Default: 5 %, at least 2.")
@login_options
def order(
    batch: str, code: str | None, certificates: str | None, spare: int | None, login: str, password_file: Path | None
) -> None:
    """Draw up an order for a released and prepared BATCH (its number).

    For a batch that the plan gave to a bureau, the job `bureaux` does the same by itself.
    """
    from uec.services import bureau_drawing, bureau_orders, bureaux, rules  # noqa: PLC0415

    chosen = settings()
    with acting(login, password_file) as (session, actor):
        row = bureau_orders.find_batch(session, batch)
        profile = rules.card_profile(chosen, row.profile)
        way = Certificates(certificates) if certificates else bureau_orders.usual_way(profile)
        by = bureaux.find(session, code) if code else bureau_drawing.required(session, row)
        drawing = bureau_orders.Drawing(row.id, by.id, way, spare)
        made = bureau_orders.draw(session, drawing, profile=profile, actor=actor, now=now())
        number = bureau_orders.number_of(session, made)
    click.echo(f"order {number}: drawn up; another person approves it")


@bureau.command("approve-order")
@click.argument("number")
@login_options
def approve_order(number: str, login: str, password_file: Path | None) -> None:
    """Let an order go out, as another person than the one who drew it up."""
    from uec.services import bureau_lists, bureau_orders  # noqa: PLC0415

    with acting(login, password_file) as (session, actor):
        bureau_orders.approve(session, bureau_lists.find_order(session, number).id, actor=actor, now=now())
    click.echo(f"order {number.upper()}: approved; `uec bureau send` makes its file")


@bureau.command("cancel-order")
@click.argument("number")
@click.option("--reason", required=True, help="Why; kept with the order.")
@login_options
def cancel_order(number: str, reason: str, login: str, password_file: Path | None) -> None:
    """Call an order off before it is sent: its blanks go back, its batch may be made elsewhere."""
    from uec.services import bureau_lists, bureau_orders  # noqa: PLC0415

    with acting(login, password_file) as (session, actor):
        found = bureau_lists.find_order(session, number).id
        bureau_orders.cancel(session, found, reason=reason, actor=actor, now=now())
    click.echo(f"order {number.upper()}: cancelled")


@bureau.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def orders(*, as_json: bool) -> None:
    """List the orders, newest first."""
    from uec.services import bureau_lists  # noqa: PLC0415

    with reading_store(settings()) as session:
        rows = bureau_lists.orders(session, limit=500).rows
    if as_json:
        for row in rows:
            show_json(vars(row))
        return
    columns = ("number", "state", "bureau", "batch", "certificates", "cards", "outstanding")
    show(columns, [[getattr(row, name) for name in columns] for row in rows], title="Orders")


@bureau.command()
@_folder
@login_options
@click.pass_context
def send(ctx: click.Context, folder: Path | None, login: str, password_file: Path | None) -> None:
    """Make the files of all approved orders, and answers with certificates, for the bureaux to fetch.

    Needs `uec vault`: it wraps the cards' keys for each bureau; nobody here can read them. What stands against an order
    is said, and keeps no other back; exit code 1 then.
    """
    from uec.services import bureau_exchange  # noqa: PLC0415

    chosen, made, refused = settings(), 0, 0
    place = folder or chosen.state_dir / bureau_exchange.FOLDER
    with acting(login, password_file) as (session, actor), _vault(chosen) as vault:
        if bureau_exchange.anything_due(session, place):
            counter = partial(_counter, session, vault, chosen)
            for one in bureau_exchange.send_due(session, counter, folder=place, actor=actor, clock=now):
                if isinstance(one, bureau_exchange.NotSent):
                    click.echo(f"{one.order}: not sent: {one.refusal}", err=True)
                    refused += 1
                else:
                    click.echo(f"{one}: made")
                    made += 1
    if not made + refused:
        click.echo("no order is approved, and no card waits for certificates")
    ctx.exit(1 if refused else 0)


@contextmanager
def _vault(chosen: "Settings") -> "Iterator[VaultClient]":
    from issuance.keys.access import ClientKind  # noqa: PLC0415
    from issuance.keys.client import VaultClient  # noqa: PLC0415

    with VaultClient(chosen.vault_socket, ClientKind.WORKER) as vault:
        yield vault


def _counter(session: "Session", vault: "VaultClient", chosen: "Settings") -> "Counter":
    from secrets import token_bytes  # noqa: PLC0415
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    from uec.services import authority, rules  # noqa: PLC0415
    from uec.services.bureau_exchange import Counter  # noqa: PLC0415

    return Counter(
        vault,
        authority.document_signer(session, vault),
        authority.open_authority(session, vault, settings=chosen),
        lambda profile: rules.card_profile(chosen, profile),
        token_bytes,
        ZoneInfo(chosen.timezone),
    )


@bureau.command()
@click.argument("files", nargs=-1, type=click.File("rb"))
@_folder
@login_options
@click.pass_context
def take(
    ctx: click.Context, files: tuple[IO[bytes], ...], folder: Path | None, login: str, password_file: Path | None
) -> None:
    """Take acknowledgements and results in: FILES, or everything new in the bureaux' out folders.

    A file counts whole or not at all. What is wrong with a refused one is said, and recorded; exit code 1 then.
    """
    from uec.services import authority, bureau_exchange, bureau_taking, rules  # noqa: PLC0415

    chosen, refused = settings(), 0
    profiles, (weak_keys, _) = partial(rules.card_profile, chosen), authority.weak_keys(chosen)
    with acting(login, password_file) as (session, actor):
        for stream in files:
            try:
                said = bureau_taking.take(
                    session,
                    stream,  # type: ignore[arg-type]
                    stream.name,
                    profiles=profiles,
                    weak_keys=weak_keys,
                    actor=actor,
                    now=now(),
                )
            except FileRefused as error:
                said = error  # type: ignore[assignment]
            refused += _say(said)
        place = folder or chosen.state_dir / bureau_exchange.FOLDER
        found = (
            []
            if files
            else bureau_exchange.take_new(
                session, folder=place, profiles=profiles, weak_keys=weak_keys, actor=actor, clock=now
            )
        )
        refused += sum(_say(one) for one in found)
    ctx.exit(1 if refused else 0)


def _say(taken: "Taken | FileRefused | NotTaken") -> bool:
    """Tell what became of a file; whether it was refused, or not judged."""
    from uec.services.bureau_exchange import NotTaken  # noqa: PLC0415

    if isinstance(taken, NotTaken):
        click.echo(f"not judged: {taken.name}: {taken.refusal}", err=True)
        return True
    if isinstance(taken, FileRefused):
        click.echo(f"refused: {taken}", err=True)
        return True
    facts = ", ".join(f"{count} {what}" for what, count in taken.facts.items() if count)
    click.echo(f"{taken.kind} of order {taken.order} taken: {facts}")
    return False


@bureau.command()
@click.argument("consignment", type=ID)
@click.option("--seal", required=True, help="As you read it off the consignment.")
@login_options
def receive(consignment: int, seal: str, login: str, password_file: Path | None) -> None:
    """Take a consignment in whose seal is the one that the bureau told."""
    from uec.services import bureau_orders  # noqa: PLC0415

    with acting(login, password_file) as (session, actor):
        bureau_orders.receive(session, consignment, seal, actor=actor, now=now())
    click.echo(f"consignment {consignment}: received")


@bureau.command()
@click.argument("number")
@login_options
def close(number: str, login: str, password_file: Path | None) -> None:
    """End an order whose cards are all accounted for and here; blanks left over go back into the bureau's store."""
    from uec.services import bureau_lists, bureau_orders  # noqa: PLC0415

    with acting(login, password_file) as (session, actor):
        bureau_orders.close(session, bureau_lists.find_order(session, number).id, actor=actor, now=now())
    click.echo(f"order {number.upper()}: closed")


@bureau.command()
@click.argument("number")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(number: str, *, as_json: bool) -> None:
    """Show an order: what was ordered, made, spoiled and is outstanding; its files and consignments."""
    from uec.services import bureau_lists  # noqa: PLC0415

    with reading_store(settings()) as session:
        page = bureau_lists.order_page(session, bureau_lists.find_order(session, number).id)
        sums = vars(page.sums) | {"blanks_left": page.sums.blanks_left, "difference": page.sums.difference}
        facts: dict[str, Any] = {"order": page.row.number, "state": page.row.state.value, "bureau": page.bureau.code}
        if page.row.held_up_why:
            facts["held up"] = page.row.held_up_why
        facts |= {"batch": page.batch.number, "certificates": page.row.certificates.value, **sums}
        files = [(one.at, one.kind, one.outcome.value, one.finding, one.name) for one in page.files]
        sent = [(one.id, one.number, _seal(one), one.cards, one.state.value) for one in page.consignments]
    if as_json:
        show_json(facts | {"files": files, "consignments": sent})
        return
    show_facts(facts)
    show(("at", "kind", "outcome", "finding", "name"), files, title="Files")
    show(("id", "number", "seal", "cards", "state"), sent, title="Consignments")


def _seal(one: "BureauConsignment") -> str:
    """The seal that was found on a consignment; whoever receives one reads it off the parcel, not here."""
    return one.seal if one.state is ConsignmentState.RECEIVED else ""


for _command in (*bureau_partners.COMMANDS, bureau_standin.stand_in):
    bureau.add_command(_command)
