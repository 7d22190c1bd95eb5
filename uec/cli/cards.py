"""`uec cards`: the office's cards, from personalised to destroyed. Readers of this machine are under `uec card`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from uec.cli.options import ID, login_options, now, settings, signed_in, store
from uec.cli.tables import show, show_facts
from uec.domain.lifecycle import ApplicationReason, CardState
from uec.domain.sampling import Defect


@click.group()
def cards() -> None:
    """List and show cards; suspend, resume, report lost, replace, renew, annul, spoil, destroy."""


@cards.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in CardState], case_sensitive=False),
    help="Only those in this state; may be repeated.",
)
@click.option("--find", default="", help="A card or application number, a SNILS or the beginning of a surname.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="At most so many.")
@login_options
def list_cards(states: tuple[str, ...], find: str, limit: int, login: str, password_file: Path | None) -> None:
    """List cards by number."""
    from uec.services import card_lists  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        page = card_lists.find(
            session,
            actor=signed_in(session, login, password_file),
            now=now(),
            query=find,
            states=[CardState(state) for state in states],
            limit=limit,
        )
    columns = ("id", "number", "state", "name", "expires", "batch")
    show(columns, [(r.id, r.number, r.state, r.full_name, r.expires_on, r.batch_number) for r in page.rows])
    click.echo(f"{len(page.rows)} of {page.total}", err=True)


@cards.command("show")
@click.argument("card_id", type=ID)
@login_options
def show_card(card_id: int, login: str, password_file: Path | None) -> None:
    """Show a card with its certificates and its journal."""
    from uec.services import card_lists  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        detail = card_lists.detail(session, card_id, actor=signed_in(session, login, password_file), now=now())
    row = detail.row
    show_facts(
        {
            "number": row.number,
            "state": row.state,
            "name": row.full_name,
            "application": row.application_number,
            "batch": row.batch_number,
            "chip": detail.chip_id,
            "expires": row.expires_on,
            "personalised": detail.personalised_at,
            "active since": detail.activated_at,
        }
    )
    certificates = [(one.profile, one.state, one.serial, one.not_after) for one in detail.certificates]
    show(("certificate", "state", "serial", "until"), certificates)
    show(("seq", "journal", "at"), [(entry.seq, entry.kind, entry.at) for entry in detail.journal])


@cards.command("print")
@click.argument("card_ids", type=ID, nargs=-1, required=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="FILE.pdf or FILE.png.")
@click.option("--dpi", default=300, show_default=True, type=click.IntRange(72, 1200), help="Of the printer, for PNG.")
@login_options
def print_cards(card_ids: tuple[int, ...], out: Path, dpi: int, login: str, password_file: Path | None) -> None:
    """Draw the faces of cards for the printer: one PDF with a page each, or one card as PNG.

    Only a look and a file: what was printed is recorded by the print orders of a batch.
    """
    from uec.services import printing  # noqa: PLC0415

    chosen = settings()
    printer = printing.Printer.of(chosen)
    if out.suffix.lower() not in (".pdf", ".png") or (out.suffix.lower() == ".png" and len(card_ids) != 1):
        raise click.BadParameter("name FILE.pdf, or FILE.png for one card", param_hint="--out")
    with store(chosen) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        if out.suffix.lower() == ".png":
            content = printing.card_face(session, card_ids[0], printer=printer, actor=actor, now=now(), dpi=dpi)
        else:
            content = printing.card_pages(session, card_ids, printer=printer, actor=actor, now=now())
    out.write_bytes(content)
    click.echo(f"{out}: {len(card_ids)} cards, {len(content)} bytes", err=True)


@cards.command("looks")
@login_options
def list_looks(login: str, password_file: Path | None) -> None:
    """List batches of lines whose drawn cards wait for somebody to look at them."""
    from uec.services import card_looks  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        waiting = card_looks.waiting(session, actor=signed_in(session, login, password_file))
    columns = ("batch id", "batch", "drawn", "looked at", "bad", "left")
    show(columns, [(one.batch_id, one.number, one.drawn, one.looked_at, one.bad, one.left) for one in waiting])


@cards.command("look")
@click.argument("number")
@click.option("--batch", "batch_id", type=ID, required=True, help="The batch's id, as `uec cards looks` lists it.")
@click.option(
    "--defect",
    type=click.Choice([one.value for one in Defect], case_sensitive=False),
    help="What is wrong.",
)
@click.option("--note", default="", help="In your own words.")
@login_options
def record_look(
    number: str, batch_id: int, defect: str | None, note: str, login: str, password_file: Path | None
) -> None:
    """Record what you saw on a drawn card; a bad one is spoiled, and all of its batch are drawn."""
    from uec.services import card_looks  # noqa: PLC0415

    found = Defect(defect) if defect else None
    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        left = card_looks.look(session, number, batch_id=batch_id, defect=found, note=note, actor=actor, now=now())
    click.echo(f"{left} cards are left to look at", err=True)


@cards.command()
@click.argument("card_id", type=ID)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Give it out to this new folder as well: anybody judges it there, with openssl or `uec card evidence`.",
)
@login_options
def evidence(card_id: int, out: Path | None, login: str, password_file: Path | None) -> None:
    """Check what is kept of a card's sessions: that each transcript is whole and of this card, and who signed it."""
    from uec.services import evidence as kept  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        sessions_of_card = kept.transcripts(session, card_id, actor=actor)
        given = None if out is None else kept.export(session, card_id, out, actor=actor, now=now())
    columns = ("seq", "at", "work", "round trips", "commands", "chip ms", "whole", "agrees", "signed by")
    show(
        columns,
        [
            (*(getattr(one, name.replace(" ", "_")) for name in columns[:-1]), one.signed_by or "nobody")
            for one in sessions_of_card
        ],
    )
    if given is not None:
        click.echo(f"{given} sessions given out to {out}; its README.txt tells how to judge them", err=True)
    doubtful = [one.seq for one in sessions_of_card if one.doubtful]
    if doubtful:
        raise click.ClickException(f"entries {doubtful} are not what the station signed: tell security")


def _change(name: str, doc: str) -> None:
    """Add a command that lets one event happen to a card."""

    @cards.command(name.replace("_", "-"), help=doc)
    @click.argument("card_id", type=ID)
    @click.option("--reason", required=True, help="Stands in the audit.")
    @login_options
    def command(card_id: int, reason: str, login: str, password_file: Path | None) -> None:
        from uec.services import cards as service  # noqa: PLC0415

        change: Callable[..., Any] = getattr(service, name)
        with store(settings()) as sessions, sessions() as session:
            actor = signed_in(session, login, password_file)
            change(session, card_id, actor=actor, reason=reason, now=now())
        click.echo(f"card {card_id}: done")


_change("suspend", "Stop an active card for a while: certificates on hold, card on the stop-list.")
_change("resume", "Let a suspended card serve again.")
_change("report_lost", "Block a lost or stolen card at once and for good.")
_change("annul", "End a card for good, for instance when its holder refuses to use it.")
_change("spoil", "Scrap a card that failed in production; its application is planned again, first in the queue.")
_change("destroy", "Record that the plastic of an ended card has been destroyed.")


@cards.command()
@click.argument("card_id", type=ID)
@click.option(
    "--reason",
    required=True,
    type=click.Choice([reason.value for reason in ApplicationReason if reason is not ApplicationReason.FIRST], False),
    help="DUPLICATE: lost or damaged, paid. REPLACEMENT: anything else. RENEWAL: it ends soon.",
)
@login_options
def replace(card_id: int, reason: str, login: str, password_file: Path | None) -> None:
    """End a lost, damaged or surrendered card and take the application for its successor.

    The application has the data of the old one and passes checks and decision like any other. What is printed is the
    applicant's receipt; the secret is shown this once.
    """
    from secrets import token_bytes  # noqa: PLC0415

    from uec.services import cards as service  # noqa: PLC0415
    from uec.services import phases  # noqa: PLC0415

    chosen, moment = settings(), now()
    with store(chosen) as sessions, sessions() as session:
        receipt = service.replace(
            session,
            card_id,
            actor=signed_in(session, login, password_file),
            reason=ApplicationReason(reason),
            policy=phases.book(session, chosen.policy).at(moment),
            now=moment,
            random=token_bytes,
        )
    show_facts({"application": receipt.number, "secret": receipt.secret, "ready by": receipt.due_on})
