"""Hides which signs of a typed text are kept: everything people type; no control, no half of a pair, no direction mark.

Databases and screens choke on some of them (U+0000 in PostgreSQL, lone surrogates in UTF-8, overrides of direction that
show another text than is stored). Categories: Unicode Standard, chapter 4.5.
"""

from unicodedata import category

_KEPT = "\n"
_GONE = {"Cf": "", "Cc": " ", "Cs": " "}


def typed(text: str) -> str:
    """The text without signs nobody types and without outer spaces; a line break inside stays."""
    if text.isprintable():
        return text.strip()
    return "".join(sign if sign in _KEPT else _GONE.get(category(sign), sign) for sign in text).strip()
