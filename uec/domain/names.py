"""Hides how a person's name is checked, and how it is written in Latin letters on a card.

ICAO Doc 9303 part 3, 8th edition, section 6 table "Transliteration of Cyrillic characters" (as Russian passports use
it since 2014), and section 4 on truncation: what does not fit is found when the card is planned, never at the printer.
"""

import re

from uec.domain.errors import InvalidInput

_TABLE = {
    "А": "A", "Б": "B", "В": "V", "Г": "G", "Д": "D", "Е": "E", "Ё": "E", "Ж": "ZH", "З": "Z", "И": "I", "Й": "I",
    "К": "K", "Л": "L", "М": "M", "Н": "N", "О": "O", "П": "P", "Р": "R", "С": "S", "Т": "T", "У": "U", "Ф": "F",
    "Х": "KH", "Ц": "TS", "Ч": "CH", "Ш": "SH", "Щ": "SHCH", "Ъ": "IE", "Ы": "Y", "Ь": "", "Э": "E", "Ю": "IU",
    "Я": "IA", "І": "I", "Ў": "U", "Ґ": "G", "Є": "IE", "Ї": "I",
    "’": "", "'": "", "-": "-", " ": " ", ".": "",
}  # fmt: skip

PRINT_WIDTH = 26

# Cyrillic words joined by hyphen, apostrophe, space or dot ("Гейдар оглы", "д’Арк", "Анна-Мария").
NAME = re.compile(r"[А-Яа-яЁё]+(?:[ '’.-]{1,2}[А-Яа-яЁё]+)*\.?")
_LATIN = re.compile(r"[A-Za-z]")
_CYRILLIC = re.compile(r"[А-Яа-яЁё]")


class InvalidName(InvalidInput):
    """A name has signs no name has. Facts: `reason` (`empty`, `mixed_letters`, `latin`, `signs`, `length`)."""

    code = "uec.invalid_name"


def parse_name(text: str, *, limit: int = 100) -> str:
    """Return the name without outer and double spaces; raise `InvalidName` for anything but Cyrillic words."""
    plain = " ".join(text.split())
    if not plain:
        raise InvalidName("Give the name.", reason="empty")
    if len(plain) > limit:
        raise InvalidName(f"The name is longer than {limit} letters; shorten it.", reason="length")
    if NAME.fullmatch(plain):
        return plain
    if _LATIN.search(plain) and _CYRILLIC.search(plain):
        raise InvalidName(
            "The name mixes Latin and Cyrillic letters that look alike; type it again.", reason="mixed_letters"
        )
    if _LATIN.search(plain):
        raise InvalidName("Write the name in Cyrillic letters, as in the passport.", reason="latin")
    raise InvalidName(
        "The name has signs that no name has; only letters, hyphen, apostrophe and space.", reason="signs"
    )


def transliterate(text: str) -> str:
    """Return the name in Latin capitals by ICAO 9303; raise `InvalidName` for a sign without a rule."""
    plain = " ".join(text.split())
    try:
        return "".join(_TABLE[letter] for letter in plain.upper())
    except KeyError as error:
        raise InvalidName(f"There is no Latin form of the sign {error.args[0]!r} in a name.", reason="signs") from None


def printed_name(surname: str, name: str, *, width: int = PRINT_WIDTH) -> str:
    """Return `SURNAME NAME` within `width` letters: a long given name becomes an initial, then the surname is cut."""
    family, given = transliterate(surname), transliterate(name)
    for candidate in (f"{family} {given}", f"{family} {_initials(given)}", f"{family} {given[:1]}"):
        if len(candidate) <= width:
            return candidate
    return f"{family[: width - 2].rstrip(' -')} {given[:1]}"


def _initials(given: str) -> str:
    first, *rest = re.split(r"[ -]", given)
    return " ".join([first, *(part[:1] for part in rest)]) if rest else given[:1]


def full_name(surname: str, name: str, patronymic: str | None = None) -> str:
    """Return the name as people say it in full."""
    return " ".join(part for part in (surname, name, patronymic) if part)
