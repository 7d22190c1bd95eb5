"""An act of destruction on paper, however long it is: its two signatures stay on one sheet, each with its name."""

import io

import pytest
from pypdf import PdfReader

from tests.support.office import NOW
from uec.domain.stock import DestructionState
from uec.services import stock_act
from uec.services.printing import FONTS
from uec.store.tables import StockDestruction

PEOPLE = {1: "Анна Кладовщик", 2: "Борис " + "Длиннофамильный-" * 7}


@pytest.mark.parametrize("rows", [34, 36, 37, 38, 40])
def test_the_signatures_stay_together_wherever_the_list_ends(rows: int) -> None:
    act = StockDestruction(state=DestructionState.DONE, proposed_by=1, ended_by=2, ended_at=NOW)
    page = stock_act._page(FONTS, "act", NOW)
    page.set_font("act", size=11)
    with page.table(line_height=6) as table:
        for number in range(rows):
            table.row(("17", f"{number:020X}", "1", "torn"))
    stock_act._signatures(page, act, PEOPLE, NOW.tzinfo)
    sheets = [sheet.extract_text() for sheet in PdfReader(io.BytesIO(bytes(page.output()))).pages]
    *others, last = sheets
    assert not any("Подпись" in sheet or "Предложил" in sheet for sheet in others)
    before, proposed, confirmed = last.partition("Предложил")[0], *last.split("Предложил")[1].split("Уничтожил")
    assert "Подпись" not in before and proposed.count("Подпись") == confirmed.count("Подпись") == 1
    assert "Анна Кладовщик" in proposed and confirmed.replace("\n", "").count("Длиннофамильный-") == 7
