"""Hides the translation library behind three typed names; English in the code, Russian in the catalogue.

`_` translates at once, `_l` when the text is shown (for what is made before a request), `ngettext` by number.
scripts/extract_texts finds all three.
"""

from typing import Any

import flask_babel


def _(text: str, **values: object) -> str:
    """Return the text in the language of the request, its placeholders filled."""
    return str(flask_babel.gettext(text, **values))


def _l(text: str, **values: object) -> Any:
    """Return a text that is translated when it is shown."""
    return flask_babel.lazy_gettext(text, **values)


def ngettext(singular: str, plural: str, number: int, **values: object) -> str:
    """Return the text for a number, with `%(num)d` filled by it."""
    return str(flask_babel.ngettext(singular, plural, number, **values))
