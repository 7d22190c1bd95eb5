"""Faces: text that fits or is refused by name, files that are wrong, bar code, PDF and picture read back."""

import re
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfReader

from issuance.printing import code128, render
from issuance.printing.errors import BadPhoto, InvalidFace, NoFont, TextDoesNotFit, UnknownSign
from issuance.printing.face import HEIGHT, PER_MM, WIDTH, Face, Shorten, TextPlace, Weight, load_face
from issuance.printing.fitting import fit, forms
from issuance.printing.fonts import typeface
from issuance.printing.layout import Facts, compose

ROOT = Path(__file__).parents[3]
FONTS = ROOT / "uec" / "web" / "static" / "dist" / "fonts"
FACE_FILE = ROOT / "config" / "faces" / "uec.toml"
FACE = load_face(FACE_FILE)
NUMBER = "9643600000000019"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TEXTS = {
    "region": "Тюменская область",
    "surname": "Щукина",
    "given": "Анна-Мария Александровна",
    "latin": "SHCHUKINA ANNA-MARIIA",
    "number": "9643 6000 0000 0019",
    "expires": "02.03.2031",
    "snils": "112-233-445 95",
    "contact": "УОС, 8 800 100-00-00",
}
PLACE = TextPlace("surname", 0, 500, 5200, 120, 70, fact="surname", shorten=Shorten.SURNAME)
REGULAR = typeface(FONTS, Weight.REGULAR)
RUSSIAN = st.text("абвгдежзийклмнопрстуфхцчшщъыьэюяё", min_size=1, max_size=30).map(str.title)
NAMES = st.lists(RUSSIAN, min_size=1, max_size=4)


def photo(size: tuple[int, int] = (300, 400), colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG", quality=95)
    return out.getvalue()


def facts(**texts: str) -> Facts:
    return Facts(TEXTS | texts, NUMBER, photo())


@given(NAMES)
def test_whatever_is_printed_is_inside_its_place(parts: list[str]) -> None:
    name = "-".join(parts)
    try:
        fitted = fit(name, PLACE, REGULAR)
    except TextDoesNotFit as error:
        assert error.given == len(name) and 0 < error.fitting < len(name)
        assert f"{len(name)} characters" in str(error) and str(error.fitting) in str(error)
        shortest = list(forms(name, Shorten.SURNAME))[-1]
        assert REGULAR.width_mm(shortest, PLACE.least / 10) > PLACE.width / PER_MM
        return
    assert REGULAR.width_mm(fitted.text, fitted.size_pt) <= PLACE.width / PER_MM + 1e-9
    assert PLACE.least / 10 <= fitted.size_pt <= PLACE.size / 10
    assert fitted.text == name or fitted.size_pt < PLACE.size / 10 or "." in fitted.text
    assert fitted.text[0] == name[0]


@pytest.mark.parametrize(
    ("name", "rule", "expected"),
    [
        ("Иванова", Shorten.SURNAME, ["Иванова"]),
        ("Иванова-Петровская", Shorten.SURNAME, ["Иванова-Петровская", "Иванова-П."]),
        ("А-Б-В", Shorten.SURNAME, ["А-Б-В", "А-Б-В.", "А-Б.-В."]),
        ("Анна Александровна", Shorten.NAME, ["Анна Александровна", "Анна А."]),
        ("Анна-Мария Петровна", Shorten.NAME,
         ["Анна-Мария Петровна", "Анна-Мария П.", "Анна-Мария П.", "Анна-М. П."]),
        ("Гейдар Али оглы", Shorten.NAME, ["Гейдар Али оглы", "Гейдар Али о.", "Гейдар А. о."]),
        ("Анна Петровна", Shorten.NEVER, ["Анна Петровна"]),
        ("Сон Ын", Shorten.SURNAME, ["Сон Ын"]),
    ],
)  # fmt: skip
def test_names_are_shortened_from_their_end(name: str, rule: Shorten, expected: list[str]) -> None:
    assert list(forms(name, rule)) == expected


def test_letters_with_their_marks_apart_are_put_together() -> None:
    assert fit("Щукии\u0306н Се\u0308мин", PLACE, REGULAR).text == "Щукийн Сёмин"


def test_a_sign_the_typeface_does_not_have_is_named() -> None:
    with pytest.raises(UnknownSign, match="surname has the sign '漢'"):
        fit("漢", PLACE, REGULAR)


def test_a_text_shrinks_before_it_is_shortened() -> None:
    assert fit("Константинопольская-Верхнеозёрская", PLACE, typeface(FONTS, Weight.BOLD)).size_pt == 7.25
    assert fit("Константинопольская-Верхнеозёрская-Нижнеозёрская", PLACE, REGULAR).text.endswith("ская-Н.")
    assert fit("Щукина", PLACE, REGULAR).size_pt == 12.0


def test_no_typeface_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NoFont, match="build_assets"):
        typeface(tmp_path, Weight.BOLD)


@given(st.text("0123456789", min_size=2, max_size=30).filter(lambda digits: len(digits) % 2 == 0))
def test_a_bar_code_is_read_back(digits: str) -> None:
    bars = code128.bars(digits)
    assert code128.read(bars) == digits
    assert code128.modules(digits) == 11 * (len(digits) // 2 + 2) + 13
    with pytest.raises(ValueError, match="does not check"):
        code128.read([bars[0], (bars[1][0], bars[1][1] % 4 + 1), *bars[2:]])


def test_the_patterns_are_those_a_reader_knows() -> None:
    patterns = code128._PATTERNS
    assert len(patterns) == len(set(patterns)) == 106
    assert all(sum(map(int, one)) == 11 and sum(map(int, one[::2])) % 2 == 0 for one in patterns)
    for wrong in ("1", "12a4", "١٢"):
        with pytest.raises(ValueError, match="even number"):
            code128.bars(wrong)


def test_the_pdf_has_the_cards_size_and_its_texts_can_be_read() -> None:
    layout = compose(FACE, facts(), FONTS)
    made = render.pdf([layout, layout], FONTS, title="B-000001", now=NOW)
    read = PdfReader(BytesIO(made))
    assert len(read.pages) == 2 and read.metadata is not None and read.metadata.title == "B-000001"
    box = read.pages[0].mediabox
    assert (float(box.width), float(box.height)) == pytest.approx((85.60 / 25.4 * 72, 53.98 / 25.4 * 72), abs=0.01)
    text = re.sub(r"\s+", " ", read.pages[0].extract_text())
    for expected in (*TEXTS.values(), "УНИВЕРСАЛЬНАЯ ЭЛЕКТРОННАЯ КАРТА", "Действительна до"):
        assert expected in text
    assert len(read.pages[0].images) == 1
    assert render.pdf([layout, layout], FONTS, title="B-000001", now=NOW) == made


@pytest.mark.parametrize(("dpi", "size"), [(300, (1011, 638)), (600, (2022, 1275))])
def test_the_picture_has_the_printers_resolution(dpi: int, size: tuple[int, int]) -> None:
    with Image.open(BytesIO(render.png(compose(FACE, facts(), FONTS), FONTS, dpi=dpi))) as picture:
        assert picture.size == size and picture.info["dpi"] == pytest.approx((dpi, dpi), abs=0.5)
        box = FACE.photo[0]
        left, top, right, bottom = (
            round(edge / PER_MM / 25.4 * dpi)
            for edge in (box.left, box.top, box.left + box.width, box.top + box.height)
        )
        centre = picture.getpixel(((left + right) // 2, (top + bottom) // 2))
        assert centre == pytest.approx((200, 30, 30), abs=4), "the photo stands in its place"
        assert picture.getpixel((left - 4, (top + bottom) // 2)) == (255, 255, 255)
        assert picture.getpixel((5, 5)) == (0x12, 0x43, 0x6D)
        name = FACE.texts[2]
        line = picture.crop(tuple(round(edge / PER_MM / 25.4 * dpi) for edge in (
            name.left, name.baseline - 300, name.left + name.width, name.baseline)))  # fmt: skip
        dark = sum(line.convert("L").histogram()[:100])
        assert dark > 0.01 * line.width * line.height, "the surname is there"


def test_the_bar_code_in_the_picture_is_the_number() -> None:
    picture = Image.open(BytesIO(render.png(compose(FACE, facts(), FONTS), FONTS, dpi=300))).convert("L")
    box = FACE.code[0]
    row = round((box.top + box.height / 2) / PER_MM / 25.4 * 300)
    dark = [picture.getpixel((x, row)) < 128 for x in range(picture.width)]  # type: ignore[operator]
    edges = [x for x in range(1, len(dark)) if dark[x] != dark[x - 1]]
    module = (edges[-1] - edges[0]) / code128.modules(NUMBER)
    assert module == int(module), "bars are whole dots"
    found = [
        (round((first - edges[0]) / module), round((last - first) / module))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]
    assert code128.read(found) == NUMBER
    assert min(edges[0] - box.left / PER_MM / 25.4 * 300, 1e9) >= 10 * module - 1, "with its quiet zone"


def test_without_a_photo_its_place_stays_empty() -> None:
    layout = compose(FACE, Facts(TEXTS, NUMBER), FONTS)
    assert layout.photo is None
    with Image.open(BytesIO(render.png(layout, FONTS, dpi=300))) as picture:
        assert picture.getpixel((200, 350)) == (255, 255, 255)


@pytest.mark.parametrize("size", [(1000, 200), (200, 1000), (1, 1)])
def test_a_photo_of_another_shape_is_cut_from_its_middle(size: tuple[int, int]) -> None:
    layout = compose(FACE, Facts(TEXTS, NUMBER, photo(size)), FONTS)
    assert layout.photo is not None
    place, picture = layout.photo
    if size != (1, 1):
        assert picture.width / picture.height == pytest.approx(place.width_mm / place.height_mm, rel=0.02)
    assert render.png(layout, FONTS, dpi=300)


def test_a_transparent_photo_is_printed_on_white() -> None:
    out = BytesIO()
    Image.new("RGBA", (300, 400), (0, 0, 0, 0)).save(out, "PNG")
    layout = compose(FACE, Facts(TEXTS, NUMBER, out.getvalue()), FONTS)
    assert layout.photo is not None and layout.photo[1].getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("content", [b"\xff\xd8\xff", b"", b"\x89PNG\r\n\x1a\n" + bytes(20)])
def test_a_photo_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(BadPhoto):
        compose(FACE, Facts(TEXTS, NUMBER, content or b"x"), FONTS)


def test_a_resolution_no_printer_has_is_refused() -> None:
    with pytest.raises(ValueError, match="resolution"):
        render.png(compose(FACE, facts(), FONTS), FONTS, dpi=10_000)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "uec"', 'name = "other"', "own name"),
        ("left = 500", "left = 9000", "outside"),
        ("least = 80", "least = 800", "shrink"),
        ('fact = "region"', "", "either a fact"),
        ('colour = "12436d"', 'colour = "blue"', "colour"),
        ("baseline = 500", "basline = 500", "did you mean baseline"),
        ('shorten = "surname"', 'shorten = "somehow"', "one of never"),
        ("[[bands]]", "[[bands]", "the file"),
        ('[[code]]\nname = "number"', '[[photo]]\nname = "number"', "one place each"),
    ],
)
def test_a_wrong_face_is_refused_by_the_name_of_what_is_wrong(tmp_path: Path, old: str, new: str, told: str) -> None:
    file = tmp_path / "uec.toml"
    whole = FACE_FILE.read_text()
    assert old in whole
    file.write_text(whole.replace(old, new, 1))
    with pytest.raises(InvalidFace, match=told):
        load_face(file)


def test_a_face_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFace):
        load_face(tmp_path / "none.toml")


def test_the_card_is_id_1() -> None:
    assert (WIDTH / PER_MM, HEIGHT / PER_MM) == (85.60, 53.98)
    assert isinstance(FACE, Face) and FACE.facts == frozenset(TEXTS)
