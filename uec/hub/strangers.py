"""Cards that lie in a reader and that this hub has not met: asked who they are, and looked up in the database.

After a restart of hub or station nothing in memory says which reader holds a finished card, and which the one that was
just being written. The card says so itself: one round trip for its chip's number (CPLC), and the newest card that the
chip was bound to is the one that lies there. So a finished card never meets the next job of a batch, and a half-written
one meets its own.
"""

import logging
from collections.abc import Iterator, Mapping

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, sessionmaker

from issuance.errors import IssuanceError
from issuance.production.chip import chip_number
from issuance.production.drivers import send_all
from uec.domain.errors import UecError
from uec.domain.lifecycle import OperationKind, OperationState
from uec.hub.links import StationLink
from uec.hub.work import Workshop
from uec.services.rules import card_profile
from uec.store.engine import reading
from uec.store.tables import Card, CardOperation

log = logging.getLogger(__name__)


def introductions(
    sessions: sessionmaker[Session], links: Mapping[int, StationLink]
) -> Iterator[tuple[StationLink, str]]:
    """Readers whose card has to be met now; each is taken until `introduce` gives it back.

    All of them, and not the strangers alone, while a begun card is looked for that may lie in any reader.
    """
    if not links:
        return
    wanted = select(CardOperation.id).join(Card, Card.id == CardOperation.card_id)
    begun = wanted.where(
        CardOperation.state == OperationState.REQUESTED,
        CardOperation.kind == OperationKind.PERSONALISE,
        CardOperation.reader.is_(None),
        Card.chip_id.is_not(None),
    )
    with reading(sessions) as session:
        every = bool(session.scalar(select(exists(begun))))
    for link in links.values():
        for reader in link.strangers(every=every):
            yield link, reader


def introduce(workshop: Workshop, link: StationLink, reader: str) -> None:
    """Ask the card in that reader for its chip, and tell the link whose it is."""
    insertion, card_id = link.insertion(reader), None
    try:
        chip_id = send_all(
            chip_number(card_profile(workshop.settings, "").secure_channel.isd_aid),
            lambda bundle: link.exchange(reader, bundle),
        )
        with reading(workshop.sessions) as session:
            newest = select(Card.id).where(Card.chip_id == chip_id).order_by(Card.id.desc()).limit(1)
            card_id = session.scalar(newest)
        if card_id is not None:
            log.info("station %s, reader %s holds card %d", link.name, reader, card_id)
    except IssuanceError as error:
        log.info("station %s, reader %s: %s", link.name, reader, error)  # whoever works on it refuses it by name
    except UecError as error:
        insertion = None  # the database is away: it is asked again
        log.info("station %s, reader %s is asked again: %s", link.name, reader, error)
    finally:
        link.introduce(reader, insertion, card_id)
