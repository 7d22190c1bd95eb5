"""Hides how a million canonical rows are recognised quickly: one expression, a few look-ups, no object made.

It never accepts a row that `RowChecker.explain` would refuse or change; what it does not accept is not bad, only slow.
"""

import re

from uec.domain.numbers import LUHN_QUARTETS, SNILS_CHECKS, SNILS_UNCHECKED_UP_TO, SNILS_WEIGHTS
from uec.domain.register_row import PASSPORT_AGE_YEARS, Fault, RowChecker, years_later

_NAME = "[А-Яа-яЁё]{1,40}(?:[ -][А-Яа-яЁё]{1,28}){0,2}"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
# Tidy words of signs that mean nothing to any file format.
_SIGNS = "[0-9A-Za-zА-Яа-яЁё№.,()/'-]+"
_WORDS = f"{_SIGNS}(?: {_SIGNS})*"
_HEX = "[0-9a-f]"
_CANONICAL = re.compile(
    "\t".join(
        (
            "[A-Za-z0-9][A-Za-z0-9./_-]{0,63}",
            _NAME,
            _NAME,
            f"(?:{_NAME})?",
            f"({_DATE})",
            f"(?=[^\t]{{1,255}}\t){_WORDS}",
            "[MF]",
            "([0-9]{11})",
            "((?!0{16})[0-9]{16}|)",
            "(passport|birth_certificate)",
            "((?!00)[0-9]{4}|(?:X{1,3}|X{0,3}(?:IX|IV|V?I{1,3}|V))-[А-ЯЁ]{2})",
            "[0-9]{6}",
            f"({_DATE})",
            f"(?=[^\t]{{1,255}}\t){_WORDS}",
            "([0-9]{8}(?:[0-9]{3})?)",
            f"(?:{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}})?",
            f"(?=[^\t]{{1,400}}\t){_WORDS}",
            "(?:[+]7[34789][0-9]{9})?",
            "(?:[a-z0-9_-]{1,32}(?:[.][a-z0-9_-]{1,31})?@[a-z0-9]{1,40}(?:[.][a-z]{2,10}){1,2})?",
            f"({_DATE}|)",
        )
    )
).fullmatch
_FIRST, _SECOND, _THIRD = SNILS_WEIGHTS
_CHECKED_FROM = f"{SNILS_UNCHECKED_UP_TO + 1:09}"
# More different dates than people can have; a file full of nonsense must not fill the memory.
_REMEMBERED = 200_000


class QuickCheck:
    """The shortcut for one import; it remembers which dates and municipalities are good."""

    def __init__(self, checker: RowChecker) -> None:
        """Take the checker whose rules these are."""
        self._checker = checker
        self._dates: dict[str, bool] = {"": False}
        self._codes: dict[str, bool] = {}

    def accept(self, text: str) -> bool:
        """Tell that a row, its values joined by `JOINT`, is canonical and without fault; False means: explain it."""
        match = _CANONICAL(text)
        if match is None:
            return False
        born, snils, oms, doc_type, series, issued, oktmo, died = match.groups()
        dates, quartets = self._dates, LUHN_QUARTETS
        checked = SNILS_CHECKS[_FIRST[snils[:3]] + _SECOND[snils[3:6]] + _THIRD[snils[6:9]]] == snils[9:]
        if not (
            (dates.get(born) or self._learn_date(born))
            and (dates.get(issued) or self._learn_date(issued))
            and (checked or snils[:9] < _CHECKED_FROM)
            and snils != "00000000000"
            and (
                not oms or (quartets[oms[:4]] + quartets[oms[4:8]] + quartets[oms[8:12]] + quartets[oms[12:]]) % 10 == 0
            )
            and (self._codes.get(oktmo) or self._learn_code(oktmo))
        ):
            return False
        if died and not ((dates.get(died) or self._learn_date(died)) and born <= died >= issued):
            return False
        if doc_type == "passport":
            return series.isdigit() and years_later(born, PASSPORT_AGE_YEARS) <= issued
        return not series.isdigit() and born <= issued

    def _learn_date(self, text: str) -> bool:
        try:
            good = bool(text) and self._checker.date(text) == text
        except Fault:
            good = False
        if len(self._dates) > _REMEMBERED:
            self._dates.clear()
        self._dates[text] = good
        return good

    def _learn_code(self, text: str) -> bool:
        try:
            good = self._checker.oktmo(text) == text
        except Fault:
            good = False
        if len(self._codes) > _REMEMBERED:
            self._codes.clear()
        self._codes[text] = good
        return good
