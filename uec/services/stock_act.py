"""An act of destruction on paper: what is destroyed, how, and room for the two who answer for it.

The act is a document of the office and in Russian, whatever language the pages are read in.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

from fpdf import FPDF
from sqlalchemy.orm import Session

from issuance.printing.face import Weight
from issuance.printing.fonts import typeface
from uec.domain.actors import Actor
from uec.domain.permissions import Permission
from uec.domain.stock import DestructionState
from uec.services import rows, stock_destruction, stock_lists
from uec.services.stock_ledger import Held
from uec.store.tables import StockDestruction

SIGNATURE = "_" * 28
_STATES = {
    DestructionState.PROPOSED: "предложен, не подтверждён",
    DestructionState.DONE: "карты уничтожены",
    DestructionState.WITHDRAWN: "отозван, карты не уничтожены",
}


def act_pdf(
    session: Session, act_id: int, *, fonts: Path, office: str, zone: tzinfo, actor: Actor, now: datetime
) -> bytes:
    """The act as PDF (A4); `fonts` holds the typefaces. The same act at the same `now` gives the same bytes.

    Raises `NotAllowed` for whoever may not see the stock, `NotFound`.
    """
    if not actor.may(Permission.DESTROY_STOCK):
        actor.require(Permission.VIEW_STOCK)
    row = rows.present(session, StockDestruction, act_id)
    people = stock_lists.names_of(session, [row.proposed_by, row.ended_by])
    listed = stock_destruction.reasons(session, row)
    boxes = stock_lists.box_numbers(session, {part.box_id for part, _why in listed})
    page = _page(fonts, f"Акт уничтожения № {row.number}", now)
    page.set_font("act", size=11)
    page.multi_cell(0, 6, office, align="L", new_x="LMARGIN", new_y="NEXT")
    page.ln(6)
    page.set_font("act", style="B", size=15)
    page.cell(text=f"Акт уничтожения карт № {row.number}", new_x="LMARGIN", new_y="NEXT")
    page.ln(3)
    page.set_font("act", size=11)
    proposed = row.proposed_at.astimezone(zone)
    for name, value in (
        ("Склад", stock_lists.title_of(session, "point", row.store_id)),
        ("Способ уничтожения", row.method),
        ("Составлен", f"{proposed:%d.%m.%Y %H:%M}"),
        ("Состояние", _STATES[row.state]),
        ("Всего карт и заготовок", str(row.blanks)),
    ):
        page.multi_cell(0, 6, f"{name}: {value}", new_x="LMARGIN", new_y="NEXT")
    page.ln(3)
    with page.table(col_widths=(3, 5, 2, 8), text_align=("LEFT", "LEFT", "RIGHT", "LEFT"), line_height=6) as table:
        for cells in (("Коробка", "Номера микросхем", "Штук", "Почему"), *_lines(listed, boxes)):
            table.row(cells)
    _signatures(page, row, people, zone)
    return bytes(page.output())


def _lines(listed: Sequence[tuple[Held, str]], boxes: Mapping[int | None, str]) -> list[tuple[str, ...]]:
    return [
        (
            "сдана картой" if part.box_id is None else boxes[part.box_id],
            str(part.chips),
            str(part.chips.blanks),
            why,
        )
        for part, why in listed
    ]


def _signatures(page: FPDF, row: StockDestruction, people: Mapping[int, str], zone: tzinfo) -> None:
    """Both on one sheet, each with its name: a signature without one is worth nothing."""
    done = row.state is DestructionState.DONE and row.ended_at is not None
    second = people.get(row.ended_by or 0, "") if done else ""
    at = f", {row.ended_at.astimezone(zone):%d.%m.%Y %H:%M}" if done and row.ended_at else ""
    with page.unbreakable() as sheet:
        sheet.ln(10)
        for role, name in (
            ("Предложил и присутствовал", people.get(row.proposed_by or 0, "")),
            ("Уничтожил и подтвердил", f"{second}{at}"),
        ):
            sheet.multi_cell(0, 6, f"{role}: {name}", align="L", new_x="LMARGIN", new_y="NEXT")
            sheet.ln(5)
            sheet.cell(text=f"Подпись {SIGNATURE}   Дата {SIGNATURE[:16]}", new_x="LMARGIN", new_y="NEXT")
            sheet.ln(5)


def _page(fonts: Path, title: str, now: datetime) -> FPDF:
    page = FPDF(format="A4")
    page.set_title(title)
    page.set_creation_date(now)
    page.set_margin(20)
    page.add_font("act", fname=typeface(fonts, Weight.REGULAR).path)
    page.add_font("act", style="B", fname=typeface(fonts, Weight.BOLD).path)
    page.add_page()
    return page
