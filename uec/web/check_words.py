"""Hides how what a register said about a person is told to a clerk; a register's own free words stay as they are."""

import re
from collections.abc import Mapping

from uec.web.texts import _, _l

Text = object  # a lazy string of flask-babel

# As in `uec.gateways.questions.ASKED`.
FIELDS: Mapping[str, Text] = {
    "surname": _l("Surname"),
    "name": _l("Given name"),
    "patronymic": _l("Patronymic"),
    "birth_date": _l("Date of birth"),
    "sex": _l("Sex"),
    "snils": _l("SNILS"),
    "oms": _l("OMS number"),
    "doc_type": _l("Kind of document"),
    "doc_series": _l("Series"),
    "doc_number": _l("Document number"),
    "doc_date": _l("Date of issue"),
}
_SAID: Mapping[str, Text] = {
    "not in the register": _l("the register has no such person"),
    "differs from the register": _l("the register says otherwise"),
    "the person has died": _l("the person has died"),
    "the register did not answer in time": _l("the register did not answer in time"),
    "the register's answer cannot be read": _l("the register's answer cannot be read"),
    "the register gave no clear answer": _l("the register gave no clear answer"),
}
_UNREACHED = re.compile(r"the register cannot be reached \(\w+\)")
_STATUS = re.compile(r"the register answered with HTTP status (\d{3})")


def check_detail(detail: str | None) -> str:
    """Tell in the page's language why a register said no, or nothing."""
    text = detail or ""
    if _UNREACHED.fullmatch(text):
        return _("the register cannot be reached")
    if status := _STATUS.fullmatch(text):
        return _("the register answered with HTTP status %(status)s", status=status[1])
    names, colon, said = text.rpartition(": ")
    fields = names.split(", ") if colon else []
    if said not in _SAID or any(field not in FIELDS for field in fields):
        return text
    words = str(_SAID[said])
    return f"{', '.join(str(FIELDS[field]) for field in fields)}: {words}" if fields else words
