"""The faces of cards for views: this office's printer, and which names have no room on a card."""

from uec.services import printing
from uec.services.printing import Printer
from uec.web.context import office


def printer() -> Printer:
    """How this office prints."""
    return Printer.of(office().settings)


def no_room(*, surname: str, name: str, patronymic: str, profile: str = "") -> dict[str, str]:
    """Field -> message key for names that cannot be printed on a card of a profile, the usual one without a name."""
    of = profile or office().settings.default_profile
    return printing.misfits(printer(), of, surname=surname, name=name, patronymic=patronymic)
