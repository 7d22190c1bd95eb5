"""Photos for the chip: within the limit whatever was sent, upright, and what is no picture is refused."""

import random
from io import BytesIO

import pytest
from PIL import Image

from issuance.production.errors import InvalidCardData
from uec.services.photos import LIMIT_BYTES, for_chip


def noise(width: int, height: int, kind: str = "JPEG", orientation: int = 1) -> bytes:
    content = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.frombytes("RGB", (width, height), random.Random(3).randbytes(width * height * 3))
    picture.save(content, kind, exif=exif)
    return content.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(413, 531), (1200, 900), (60, 2000)])
def test_the_chip_gets_a_jpeg_within_the_limit(kind: str, size: tuple[int, int]) -> None:
    small = for_chip(noise(*size, kind=kind))
    with Image.open(BytesIO(small)) as shown:
        assert shown.format == "JPEG" and len(small) <= LIMIT_BYTES
        assert abs(shown.width / shown.height - size[0] / size[1]) < 0.02


def test_a_picture_lying_on_its_side_stands_up() -> None:
    with Image.open(BytesIO(for_chip(noise(800, 600, orientation=6)))) as shown:
        assert shown.height > shown.width


def test_a_small_one_stays_as_it_is() -> None:
    photo = noise(60, 80)
    assert for_chip(photo) == photo and for_chip(b"") == b""


@pytest.mark.parametrize("content", [b"\xff\xd8\xff" + bytes(40_000), b"GIF89a" + bytes(40_000)])
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidCardData) as refused:
        for_chip(content)
    assert refused.value.field == "photo"


def test_half_a_picture_is_refused() -> None:
    whole = noise(413, 531)
    with pytest.raises(InvalidCardData):
        for_chip(whole[: len(whole) // 2])


def sent(picture: Image.Image, kind: str, **more: object) -> bytes:
    content = BytesIO()
    picture.save(content, kind, **more)  # type: ignore[arg-type]
    return content.getvalue()


def where_it_was_taken() -> Image.Exif:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x010F] = "Camera"
    return exif


PORTRAIT = Image.new("RGB", (60, 80), (200, 30, 30))
ODD = {
    "transparent": sent(Image.new("RGBA", (60, 80), (0, 0, 0, 0)), "PNG"),
    "palette with a hole": sent(Image.new("P", (60, 80)), "PNG", transparency=0),
    "grey with alpha": sent(Image.new("LA", (60, 80), (0, 0)), "PNG"),
    "for print": sent(PORTRAIT.convert("CMYK"), "JPEG"),
    "sixteen bits": sent(Image.new("I;16", (60, 80), 65535), "PNG"),
    "lying": noise(80, 60, orientation=6),
    "with its place": sent(PORTRAIT, "JPEG", exif=where_it_was_taken()),
}


@pytest.mark.parametrize("name", ODD)
def test_a_small_but_odd_one_is_drawn_anew(name: str) -> None:
    drawn = for_chip(ODD[name])
    with Image.open(BytesIO(drawn)) as shown:
        assert (shown.format, shown.mode, shown.size, dict(shown.getexif())) == ("JPEG", "RGB", (60, 80), {})
        red, green, blue = shown.getpixel((30, 40))  # type: ignore[misc]
    if name in {"transparent", "palette with a hole", "grey with alpha"}:
        assert min(red, green, blue) > 250, "what is transparent is white and not black"
    if name in {"for print", "with its place"}:
        assert red > 180 and max(green, blue) < 60, "in its own colours"
