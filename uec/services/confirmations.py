"""The paper that a resident takes home: of a refusal or the choice of a bank (210-FZ, article 26), or with a code."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fpdf import FPDF

from issuance.printing.face import Weight
from issuance.printing.fonts import typeface

MARGIN_MM, LINE_MM = 25.0, 7.0


@dataclass(frozen=True)
class Paper:
    """What stands on it: a heading, the number in large, lines of (what, value), and sentences below.

    The file is called `title`, else by heading and number.
    """

    heading: str
    number: str
    office: str
    facts: Sequence[tuple[str, str]]
    sentences: Sequence[str]
    title: str = ""


def pdf(paper: Paper, fonts: Path, *, language: str, now: datetime) -> bytes:
    """One sheet of A4; `fonts` is the folder of the typeface. Raises `NoFont` when it is not there."""
    sheet = FPDF(unit="mm", format="A4")
    sheet.set_creation_date(now)
    sheet.set_title(paper.title or f"{paper.heading} {paper.number}")
    sheet.set_lang(language)
    for style, weight in (("", Weight.REGULAR), ("B", Weight.BOLD)):
        sheet.add_font("face", style=style, fname=typeface(fonts, weight).path)
    sheet.set_margins(MARGIN_MM, MARGIN_MM, MARGIN_MM)
    sheet.add_page()
    for style, size, text, gap in (
        ("", 11, paper.office, 10.0),
        ("B", 16, paper.heading, 4.0),
        ("B", 22, paper.number, 8.0),
    ):
        sheet.set_font("face", style=style, size=size)
        sheet.multi_cell(0, size * 0.55, text, new_x="LMARGIN", new_y="NEXT")
        sheet.ln(gap)
    for what, value in paper.facts:
        sheet.set_font("face", style="B", size=11)
        sheet.cell(55, LINE_MM, what)
        sheet.set_font("face", size=11)
        sheet.multi_cell(0, LINE_MM, value, new_x="LMARGIN", new_y="NEXT")
    sheet.ln(6)
    for sentence in paper.sentences:
        sheet.multi_cell(0, LINE_MM, sentence, new_x="LMARGIN", new_y="NEXT")
    return bytes(sheet.output())
