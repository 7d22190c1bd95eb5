"""Draws faces: as a PDF of ID-1 pages or sheets for a card printer, and as a picture at the printer's resolution."""

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path

from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont

from issuance.printing.face import HEIGHT, PER_MM, WIDTH, Weight
from issuance.printing.fonts import FILES, typeface
from issuance.printing.layout import Layout, Rectangle

INCH_MM = 25.4
_STYLES = {Weight.REGULAR: "", Weight.BOLD: "B"}


def pdf(layouts: Sequence[Layout], fonts: Path, *, title: str, now: datetime) -> bytes:
    """One page of 85.60 x 53.98 mm a card, with the typefaces inside; the same input gives the same bytes."""
    document = FPDF(unit="mm", format=(WIDTH / PER_MM, HEIGHT / PER_MM))
    document.set_title(title)
    document.set_creation_date(now)
    document.set_auto_page_break(False)
    document.set_margin(0)
    for weight in FILES:
        document.add_font("face", style=_STYLES[weight], fname=typeface(fonts, weight).path)
    for layout in layouts:
        document.add_page()
        _draw_page(document, layout)
    return bytes(document.output())


def _draw_page(document: FPDF, layout: Layout) -> None:
    for one in layout.rectangles:
        document.set_fill_color(*_rgb(one.colour))
        document.rect(one.left_mm, one.top_mm, one.width_mm, one.height_mm, style="F")
    if layout.photo:
        place, picture = layout.photo
        document.image(picture, place.left_mm, place.top_mm, place.width_mm, place.height_mm)
    for line in layout.lines:
        document.set_font("face", style=_STYLES[line.place.weight], size=line.fitted.size_pt)
        document.set_text_color(*_rgb(line.place.colour))
        document.text(line.left_mm, line.baseline_mm, line.fitted.text)


def png(layout: Layout, fonts: Path, *, dpi: int) -> bytes:
    """The face as a PNG with `dpi` dots an inch, which the file says of itself."""
    if not 72 <= dpi <= 1200:
        raise ValueError(f"{dpi} dots an inch is no resolution of a card printer")
    picture = Image.new("RGB", (_dots(WIDTH / PER_MM, dpi), _dots(HEIGHT / PER_MM, dpi)), "white")
    pen = ImageDraw.Draw(picture)
    for one in layout.rectangles:
        left, top, right, bottom = _corners(one, dpi)
        pen.rectangle((left, top, right - 1, bottom - 1), fill=_rgb(one.colour))
    if layout.photo:
        place, photo = layout.photo
        left, top, right, bottom = _corners(place, dpi)
        picture.paste(photo.resize((right - left, bottom - top), Image.Resampling.LANCZOS), (left, top))
    for line in layout.lines:
        size = line.fitted.size_pt * dpi / 72
        font = ImageFont.truetype(
            str(typeface(fonts, line.place.weight).path), size, layout_engine=ImageFont.Layout.BASIC
        )
        at = (line.left_mm * dpi / INCH_MM, line.baseline_mm * dpi / INCH_MM)
        pen.text(at, line.fitted.text, fill=_rgb(line.place.colour), font=font, anchor="ls")
    out = BytesIO()
    picture.save(out, "PNG", dpi=(dpi, dpi))
    return out.getvalue()


def _dots(length_mm: float, dpi: int) -> int:
    return round(length_mm * dpi / INCH_MM)


def _corners(one: Rectangle, dpi: int) -> tuple[int, int, int, int]:
    return (
        _dots(one.left_mm, dpi),
        _dots(one.top_mm, dpi),
        _dots(one.left_mm + one.width_mm, dpi),
        _dots(one.top_mm + one.height_mm, dpi),
    )


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour)
    return red, green, blue
