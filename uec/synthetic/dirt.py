"""Hides what goes wrong in real exports: each kind spoils one good row, and says in which field an import must find it.

Kinds with the field None are harmless: an import is expected to tidy them and take the row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from uec.domain.register_row import COLUMNS

_AT = {column: place for place, column in enumerate(COLUMNS)}
_LOOKALIKES = str.maketrans("аеорсухАВЕКМНОРСТХ", "aeopcyxABEKMHOPCTX")
Spoil = Callable[[list[str], Random], str | None]


@dataclass(frozen=True)
class Kind:
    """One kind of dirt: `spoil` changes the row, or returns a whole line; `field` is where the fault is found."""

    name: str
    field: str | None
    spoil: Spoil


def _set(column: str, change: Callable[[str, Random], str]) -> Spoil:
    def spoil(row: list[str], random: Random) -> None:
        row[_AT[column]] = change(row[_AT[column]], random)

    return spoil


def _last_digit(text: str, random: Random) -> str:
    # From a number whose check digit fits, any other last digit is wrong.
    return text[:-1] + str((int(text[-1]) + random.randint(1, 9)) % 10)


def _check_digits(text: str, random: Random) -> str:
    return text[:9] + f"{(int(text[9:]) + random.randint(1, 99)) % 100:02}"


def _latin_letters(text: str, _random: Random) -> str:
    mixed = text.translate(_LOOKALIKES)
    return mixed if mixed != text and not mixed.isascii() else text + "a"


def _excel(text: str, _random: Random) -> str:
    return f"{int(text):.5E}".replace(".", ",")


def _spaced(row: list[str], random: Random) -> None:
    for column in random.sample(("surname", "name", "address", "doc_issuer", "birth_place", "snils"), 3):
        row[_AT[column]] = f" {row[_AT[column]]}  "


def _hyphens(row: list[str], _random: Random) -> None:
    snils, oms = row[_AT["snils"]], row[_AT["oms"]]
    row[_AT["snils"]] = f"{snils[:3]}-{snils[3:6]}-{snils[6:9]} {snils[9:]}"
    row[_AT["oms"]] = " ".join(oms[place : place + 4] for place in range(0, len(oms), 4))


def _typed_phone(row: list[str], random: Random) -> None:
    digits = f"{random.randrange(10_000_000):07}"
    row[_AT["phone"]] = f"8 (912) {digits[:3]}-{digits[3:5]}-{digits[5:]}"


def _dead_before_birth(row: list[str], _random: Random) -> None:
    row[_AT["death_date"]] = f"{int(row[_AT['birth_date']][:4]) - 1}-06-15"


def _swapped(row: list[str], _random: Random) -> None:
    name, born = _AT["name"], _AT["birth_date"]
    row[name], row[born] = row[born], row[name]


def _young_passport(row: list[str], _random: Random) -> None:
    row[_AT["doc_type"]], row[_AT["doc_series"]] = "passport", "7110"
    row[_AT["doc_date"]] = f"{int(row[_AT['birth_date']][:4]) + 8}-06-15"
    if row[_AT["doc_date"]] > "2025":
        row[_AT["birth_date"]], row[_AT["doc_date"]] = "2010-03-01", "2018-06-15"
    row[_AT["death_date"]] = ""


def _separator(row: list[str], _random: Random) -> str:
    row[_AT["address"]] = row[_AT["address"]].replace(", ", ";", 1)
    return ";".join(row)


def _cut_row(row: list[str], random: Random) -> str:
    return ";".join(row[: random.randint(3, 15)])


def _open_quote(row: list[str], _random: Random) -> str:
    row[_AT["doc_issuer"]] = '"' + row[_AT["doc_issuer"]]
    return ";".join(row)


KINDS: tuple[Kind, ...] = (
    Kind("snils check digits", "snils", _set("snils", _check_digits)),
    Kind("oms check digit", "oms", _set("oms", lambda text, random: _last_digit(text or "7200000000000003", random))),
    Kind("impossible date", "birth_date", _set("birth_date", lambda text, _r: text[:5] + "02-30")),
    Kind("date in another form", "doc_date", _set("doc_date", lambda t, _r: f"{t[8:]}.{t[5:7]}.{t[:4]}")),
    Kind("date in the future", "birth_date", _set("birth_date", lambda text, _r: "20" + "99" + text[4:])),
    Kind(
        "date of a spreadsheet", "birth_date", _set("birth_date", lambda _t, random: str(random.randint(20000, 42000)))
    ),
    Kind("surname missing", "surname", _set("surname", lambda _t, _r: "")),
    Kind("snils missing", "snils", _set("snils", lambda _t, _r: "")),
    Kind("birth date missing", "birth_date", _set("birth_date", lambda _t, _r: "")),
    Kind("document number missing", "doc_number", _set("doc_number", lambda _t, _r: "")),
    Kind("Latin letters in a name", "surname", _set("surname", _latin_letters)),
    Kind("name lost in recoding", "name", _set("name", lambda text, _r: "?" * len(text))),
    Kind("placeholder for a name", "name", _set("name", lambda _t, _r: "НЕТ ДАННЫХ 1")),
    Kind("number of a spreadsheet", "snils", _set("snils", _excel)),
    Kind("leading zeros lost", "doc_number", _set("doc_number", lambda text, _r: text[1:])),
    Kind("sex in Cyrillic", "sex", _set("sex", lambda text, _r: {"M": "М", "F": "Ж"}[text])),
    Kind("unknown document", "doc_type", _set("doc_type", lambda _t, _r: "паспорт")),
    Kind("passport of a child", "doc_date", _young_passport),
    Kind("unknown municipality", "oktmo", _set("oktmo", lambda _t, _r: "99999000")),
    Kind("short municipality code", "oktmo", _set("oktmo", lambda text, _r: text[:5])),
    Kind("address id broken", "fias", _set("fias", lambda text, _r: text[:-4])),
    Kind("phone nonsense", "phone", _set("phone", lambda _t, _r: "нет")),
    Kind("e-mail without host", "email", _set("email", lambda text, _r: (text or "ivanov@").split("@")[0])),
    Kind("death before birth", "death_date", _dead_before_birth),
    Kind("columns swapped", "name", _swapped),
    Kind("control character", "address", _set("address", lambda text, _r: text[:9] + "\x00" + text[9:])),
    Kind("separator in a field", "row", _separator),
    Kind("row cut off", "row", _cut_row),
    Kind("quote left open", "row", _open_quote),
    Kind("identifier twice", "register_id", lambda row, _random: None),
    Kind("spaces around", None, _spaced),
    Kind("numbers with hyphens", None, _hyphens),
    Kind("phone as typed", None, _typed_phone),
)


@dataclass(frozen=True)
class Line:
    """One line of an export and, when it was spoiled, how."""

    text: str
    kind: Kind | None = None


class Dirt:
    """Spoils a share of rows; the first dirty rows show every kind once, the later ones any kind."""

    def __init__(self, share: float, seed: int) -> None:
        """Take the share (0 to 1) and a seed."""
        self._random = Random(seed ^ 0x5EED)
        self._share = share
        self._spoiled = 0
        self._earlier = ""

    def line(self, row: list[str]) -> Line:
        """Return the line of a row, spoiled or not."""
        if self._random.random() >= self._share or not self._earlier:
            self._earlier = row[0]
            return Line(";".join(row))
        kind = KINDS[self._spoiled % len(KINDS)] if self._spoiled < len(KINDS) else self._random.choice(KINDS)
        self._spoiled += 1
        if kind.name == "identifier twice":
            row[0] = self._earlier
            return Line(";".join(row), kind)
        whole = kind.spoil(row, self._random)
        return Line(whole if whole is not None else ";".join(row), kind)
