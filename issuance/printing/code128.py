"""A card number as a bar code: Code 128, set C (ISO/IEC 15417:2007), as widths of bars and spaces in modules."""

from itertools import pairwise

START_C, STOP = 105, "2331112"
QUIET_MODULES = 10
_WIDTHS = (
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 113222 "
    "123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 212123 212321 "
    "232121 111323 131123 131321 112313 132113 132311 211313 231113 231311 112133 112331 132131 113123 113321 133121 "
    "313121 211331 231131 213113 213311 213131 311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 "
    "111422 121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 241211 221114 413111 241112 134111 "
    "111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 214121 412121 111143 111341 131141 114113 "
    "114311 411113 411311 113141 114131 311141 411131 211412 211214 211232"
)
_PATTERNS = tuple(_WIDTHS.split(" "))


def bars(digits: str) -> list[tuple[int, int]]:
    """The bars of a number with an even count of digits: (first module, modules wide), without the quiet zones."""
    if len(digits) % 2 or not (digits.isascii() and digits.isdigit()):
        raise ValueError("a bar code of set C holds an even number of digits")
    values = [START_C, *(int(digits[at : at + 2]) for at in range(0, len(digits), 2))]
    check = (values[0] + sum(place * value for place, value in enumerate(values[1:], 1))) % 103
    widths = "".join([*(_PATTERNS[value] for value in (*values, check)), STOP])
    found, at = [], 0
    for number, width in enumerate(map(int, widths)):
        if number % 2 == 0:
            found.append((at, width))
        at += width
    return found


def modules(digits: str) -> int:
    """How many modules the code is wide, without the quiet zones."""
    first, width = bars(digits)[-1]
    return first + width


def read(found: list[tuple[int, int]]) -> str:
    """The digits of bars as a reader sees them; raises `ValueError` for a code that is not read."""
    edges = [edge for first, width in found for edge in (first, first + width)]
    widths = "".join(str(after - before) for before, after in pairwise(edges))
    symbols, end = [widths[at : at + 6] for at in range(0, len(widths) - 7, 6)], widths[-7:]
    if any(symbol not in _PATTERNS for symbol in symbols):
        raise ValueError("the bar code does not check: it has a sign that is none")
    *content, check = (_PATTERNS.index(symbol) for symbol in symbols)
    right = (content[0] + sum(place * value for place, value in enumerate(content[1:], 1))) % 103
    if end != STOP or content[0] != START_C or check != right:
        raise ValueError("the bar code does not check")
    return "".join(f"{value:02d}" for value in content[1:])
