"""Messages to applicants: queued in the transaction of their cause, sent by a job, tried again while the mail is away.

The unique key (application, occasion) makes each message one, however often its cause is looked at. What is sent is
also shown on the status page; who gave no e-mail sees it only there. A worker that dies after the mail server took a
letter and before that is written down sends it twice, under one Message-ID.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from uec.domain import message_words
from uec.gateways.mail import Letter, MailRefused, MailUnavailable, Post
from uec.store.tables import Application, Message

EMAIL, PAGE = "email", "page"
CHUNK = 1000
LEASE = timedelta(minutes=10)
AT_ONCE = 100
# After the first try: a minute, then longer each time, at most six hours; given up after three days.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=6)
TRIED_FOR = timedelta(days=3)
FAILURE_LIMIT = 200
# Application, key of the occasion, facts.
Occasion = tuple[int, str, Mapping[str, Any]]


@dataclass(frozen=True)
class Site:
    """What stands under every letter: the office by language, the address of its pages, its telephone.

    `language` is that of who did not choose one.
    """

    office: Mapping[str, str]
    url: str
    contact: str
    language: str


@dataclass(frozen=True)
class Sent:
    """What one round of sending did; `waiting` are due again later."""

    sent: int = 0
    waiting: int = 0
    given_up: int = 0

    def __add__(self, other: "Sent") -> "Sent":
        """Two rounds together."""
        return Sent(self.sent + other.sent, self.waiting + other.waiting, self.given_up + other.given_up)


@dataclass(frozen=True)
class MessageView:
    """A message as the status page shows it."""

    kind: str
    facts: Mapping[str, Any]
    number: str
    queued_at: datetime


def queue(
    session: Session, kind: str, rows: Iterable[tuple[int, Mapping[str, Any]]], *, key: str, now: datetime
) -> int:
    """Queue a message of a kind for each (application, facts); the caller commits. Returns how many were new.

    `key` names the occasion: an application gets one message for each. Facts are plain JSON, days in ISO 8601, texts
    in both languages as `{"ru": ..., "en": ...}`; never a secret. Raises `KeyError` for an unknown kind.
    """
    return queue_each(session, kind, ((application_id, key, facts) for application_id, facts in rows), now=now)


def queue_each(session: Session, kind: str, rows: Iterable[Occasion], *, now: datetime) -> int:
    """Queue a message of a kind for each occasion of its own, like `queue`."""
    message_words.KINDS[kind]
    return sum(_queue_part(session, kind, part, now) for part in _parts(rows))


def _parts(rows: Iterable[Occasion]) -> Iterator[list[Occasion]]:
    left = iter(rows)
    while part := list(islice(left, CHUNK)):
        yield part


def promise_moved(
    session: Session, moves: Iterable[tuple[int, date, date | None]], *, occasion: str, now: datetime
) -> int:
    """Tell applicants that their promised day moved: (application, day before, day now or None while there is none).

    `occasion` names what moved it, like `plan:7`. The caller commits; returns how many messages were new.
    """
    known: list[tuple[int, dict[str, Any]]] = []
    lost: list[tuple[int, dict[str, Any]]] = []
    for application_id, before, after in moves:
        if after is None:
            lost.append((application_id, {"before": before.isoformat()}))
        else:
            known.append((application_id, {"before": before.isoformat(), "after": after.isoformat()}))
    key = f"promise:{occasion}"
    return queue(session, "promise-moved", known, key=key, now=now) + queue(
        session, "promise-open", lost, key=key, now=now
    )


def _queue_part(session: Session, kind: str, part: Sequence[Occasion], now: datetime) -> int:
    who = select(Application.id, Application.email, Application.language)
    rows = session.execute(who.where(Application.id.in_({application_id for application_id, _key, _facts in part})))
    known = {application_id: (email, language) for application_id, email, language in rows}
    values = [
        {
            "application_id": application_id,
            "kind": kind,
            "key": key,
            "channel": EMAIL if known[application_id][0] else PAGE,
            "language": known[application_id][1] or "",
            "facts": dict(facts),
            "queued_at": now,
            "next_attempt_at": now if known[application_id][0] else None,
            "attempts": 0,
        }
        for application_id, key, facts in part
        if application_id in known
    ]
    if not values:
        return 0
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    written = insert(Message).on_conflict_do_nothing(index_elements=[Message.application_id, Message.key])
    return len(session.execute(written.returning(Message.id), values).all())


def send_due(session: Session, post: Post, *, site: Site, now: datetime) -> Sent:
    """Send what is due, at most a hundred; each is committed on its own, so that a kill repeats one letter at most."""
    sent = waiting = given_up = 0
    for message_id in _take(session, now):
        row = session.get_one(Message, message_id)
        number, recipient = session.execute(
            select(Application.number, Application.email).where(Application.id == row.application_id)
        ).one()
        try:
            if not recipient:
                raise MailRefused("There is no e-mail address any more.", reply=0)
            post.deliver(_letter(row, number, recipient, site, now))
        except MailRefused as error:
            row.next_attempt_at, row.failure = None, error.message[:FAILURE_LIMIT]
            given_up += 1
        except MailUnavailable as error:
            row.failure = error.message[:FAILURE_LIMIT]
            row.next_attempt_at = _again(row, now)
            waiting += row.next_attempt_at is not None
            given_up += row.next_attempt_at is None
        else:
            row.sent_at, row.next_attempt_at, row.failure = now, None, None
            sent += 1
        session.commit()
    return Sent(sent, waiting, given_up)


def _take(session: Session, now: datetime) -> Sequence[int]:
    """Take the oldest due messages for a while, so that another worker leaves them alone."""
    due = select(Message.id).where(Message.next_attempt_at <= now).order_by(Message.next_attempt_at, Message.id)
    taken = session.scalars(due.limit(AT_ONCE).with_for_update(skip_locked=True)).all()
    session.execute(
        update(Message)
        .where(Message.id.in_(taken))
        .values(next_attempt_at=now + LEASE, attempts=Message.attempts + 1)
        .execution_options(synchronize_session=False)
    )
    session.commit()
    return taken


def _again(row: Message, now: datetime) -> datetime | None:
    """When to try again; None when it was tried for long enough."""
    if now - row.queued_at > TRIED_FOR:
        return None
    pause: timedelta = min(FIRST_PAUSE * 4 ** (row.attempts - 1), LONGEST_PAUSE)
    return now + pause


def _letter(row: Message, number: str, recipient: str, site: Site, now: datetime) -> Letter:
    language = row.language or site.language
    words = message_words.filled(row.kind, language, number, row.facts)
    foot = {
        "ru": "Статус заявления: {url}/status\nПисьмо составлено программой, отвечать на него не нужно.",
        "en": "Status of the application: {url}/status\nWritten by a program; there is no need to reply.",
    }[language].format(url=site.url.rstrip("/"))
    signature = "\n".join(filter(None, (site.office[language], site.contact)))
    text = f"{words.text}\n\n{foot}\n\n--\n{signature}\n"
    return Letter(f"message-{row.id}", recipient, words.subject, text, language, now)


def of_application(session: Session, number: str, *, limit: int = 20) -> list[MessageView]:
    """The messages about an application, the newest first; whoever calls has seen number and secret."""
    rows = session.execute(
        select(Message.kind, Message.facts, Message.queued_at)
        .join(Application, Application.id == Message.application_id)
        .where(Application.number == number)
        .order_by(Message.id.desc())
        .limit(limit)
    )
    return [MessageView(kind, facts, number, queued_at) for kind, facts, queued_at in rows]


def overview(session: Session) -> dict[str, int]:
    """How many messages wait, were sent, failed for good, and stand on the status page only."""
    counted = session.execute(
        select(
            func.count().filter(Message.next_attempt_at.is_not(None)),
            func.count().filter(Message.sent_at.is_not(None)),
            func.count().filter(Message.next_attempt_at.is_(None), Message.failure.is_not(None)),
            func.count().filter(Message.channel == PAGE),
        )
    ).one()
    return dict(zip(("waiting", "sent", "failed", "page"), counted, strict=True))
