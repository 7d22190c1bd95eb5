"""The number of a card by its id: printed on the card and no personal data, so the look is not audited."""

from sqlalchemy.orm import Session

from uec.services.rows import present
from uec.store.tables import Card


def card_number_of(session: Session, card_id: int) -> str:
    """The number of a card; raises `NotFound`."""
    return present(session, Card, card_id).number


def batch_of(session: Session, card_id: int) -> int:
    """The batch of a card; raises `NotFound`."""
    return present(session, Card, card_id).batch_id
