"""Files of bureaux on the web: one way in and one way out, for pages and for programs."""

from pathlib import Path
from typing import BinaryIO

from uec.services import authority, bureau_exchange, bureau_taking, rules
from uec.services.bureau_taking import Taken
from uec.web.access import current_actor
from uec.web.context import database, now, office

CONTENT_TYPE = "application/pkcs7-mime"


def take(stream: BinaryIO, name: str) -> Taken:
    """Take what a bureau sent, by whoever is signed in; raises `FileRefused`, recorded."""
    settings = office().settings
    return bureau_taking.take(
        database(),
        stream,
        name,
        profiles=lambda profile: rules.card_profile(settings, profile),
        weak_keys=authority.weak_keys(settings)[0],
        actor=current_actor(),
        now=now(),
    )


def made(bureau_code: str, name: str) -> Path | None:
    """Where a file that was made for a bureau lies; None when it is not there (any more)."""
    path = office().settings.state_dir / bureau_exchange.FOLDER / bureau_code / "in" / Path(name).name
    return path if path.is_file() else None
