"""The outbox over a real mail server: once, in the reader's language, tried again while the server is away."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from email.message import Message as Received
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW, POLICY, Office, form, open_office, seeded_random
from uec.domain import message_words
from uec.domain.actors import CITIZEN
from uec.domain.lifecycle import Route
from uec.gateways.mail import open_post
from uec.processes import free_port
from uec.services import messages
from uec.services.intake import submit_application
from uec.services.messages import Sent
from uec.settings import MailSettings
from uec.store.tables import Application, Message

SITE = messages.Site({"ru": "Область", "en": "Region"}, "https://uec.example/", "8-800-000-00-00", "ru")
DAY = date(2026, 4, 1)


@dataclass
class Mailbox(MessageHandler):
    """Keeps every letter; answers with `replies` first, one a letter."""

    letters: list[Received] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.replies:
            return self.replies.pop(0)
        return await super().handle_DATA(server, session, envelope)

    def handle_message(self, message: Received) -> None:
        self.letters.append(message)


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, MailSettings]]:
    """A mail server that really listens, and the settings that name it."""
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port, ready_timeout=60)
    controller.start()
    yield box, MailSettings(smtp=f"127.0.0.1:{port}", sender="Карта <uec@region.example>", tls="never")
    controller.stop()


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    return open_office(sessions)


def applied(session: Session, office: Office, number: int, **changes: Any) -> int:
    """An application; returns its id."""
    receipt = submit_application(
        session,
        form=form(number, point_id=office.points[0], **changes),
        route=Route.WEB,
        actor=CITIZEN,
        policy=POLICY,
        now=NOW,
        random=seeded_random(number),
    )
    return session.scalars(select(Application.id).where(Application.number == receipt.number)).one()


def text_of(letter: Received) -> str:
    payload = letter.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode("utf-8")


def test_a_letter_goes_out_once_in_the_language_of_the_application(
    session: Session, office: Office, mailbox: tuple[Mailbox, MailSettings]
) -> None:
    box, settings = mailbox
    first = applied(session, office, 1, email="a@region.example")
    second = applied(session, office, 2, email="b@region.example", language="en")
    moves = [(first, DAY, DAY + timedelta(days=3)), (second, DAY, None)]
    assert messages.promise_moved(session, moves, occasion="plan:1", now=NOW) == 2
    assert messages.promise_moved(session, moves, occasion="plan:1", now=NOW) == 0, "one message for each occasion"
    session.commit()
    with open_post(settings) as post:
        assert messages.send_due(session, post, site=SITE, now=NOW) == Sent(2, 0, 0)
        assert messages.send_due(session, post, site=SITE, now=NOW) == Sent()
    assert [letter["To"] for letter in box.letters] == ["a@region.example", "b@region.example"]
    russian, english = map(text_of, box.letters)
    assert "обещали к 01.04.2026. Теперь она будет готова к 04.04.2026" in russian
    assert "was promised by 01.04.2026" in english and "Region" in english and "https://uec.example/status" in english
    assert [letter["Content-Language"] for letter in box.letters] == ["ru", "en"]
    assert all(letter["Auto-Submitted"] == "auto-generated" for letter in box.letters)
    for letter, one in zip(box.letters, (1, 2), strict=True):
        said = text_of(letter) + str(letter["Subject"])
        person = form(one, point_id=1)
        for secret in (person.snils, person.surname, person.doc_series, person.phone, person.address):
            assert secret not in said, "a mailbox is read by others too"
    assert messages.overview(session) == {"waiting": 0, "sent": 2, "failed": 0, "page": 0}


def test_who_gave_no_mail_reads_it_on_the_status_page(session: Session, office: Office) -> None:
    application = applied(session, office, 1)
    messages.promise_moved(session, [(application, DAY, None)], occasion="plan:1", now=NOW)
    session.commit()
    assert session.scalars(select(Message.channel)).one() == messages.PAGE
    number = session.get_one(Application, application).number
    (shown,) = messages.of_application(session, number)
    assert message_words.filled(shown.kind, "en", shown.number, shown.facts).text.startswith(
        f"The card for application {number}"
    )
    assert messages.overview(session)["page"] == 1


def test_a_server_that_is_away_is_tried_again_later_each_time_and_given_up_at_last(
    session: Session, office: Office
) -> None:
    application = applied(session, office, 1, email="a@region.example")
    messages.promise_moved(session, [(application, DAY, None)], occasion="plan:1", now=NOW)
    session.commit()
    moment, pauses = NOW, []
    with open_post(MailSettings(smtp=f"127.0.0.1:{free_port()}", tls="never", timeout_s=1)) as post:
        for _ in range(40):
            outcome = messages.send_due(session, post, site=SITE, now=moment)
            again = session.scalars(select(Message.next_attempt_at)).one()
            if again is None:
                break
            assert outcome == Sent(waiting=1)
            pauses.append(again - moment)
            assert messages.send_due(session, post, site=SITE, now=again - timedelta(seconds=1)) == Sent()
            moment = again
    assert outcome == Sent(given_up=1) and moment - NOW > messages.TRIED_FOR
    assert pauses[:4] == [timedelta(minutes=minutes) for minutes in (1, 4, 16, 64)]
    assert pauses == sorted(pauses) and pauses[-1] == messages.LONGEST_PAUSE
    assert session.scalars(select(Message.failure)).one() is not None


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [("550 5.1.1 no such mailbox", Sent(given_up=1)), ("451 4.7.1 later", Sent(waiting=1))],
)
def test_what_the_server_says_is_heard(
    session: Session, office: Office, mailbox: tuple[Mailbox, MailSettings], reply: str, outcome: Sent
) -> None:
    box, settings = mailbox
    box.replies = [reply]
    for number in (1, 2):
        application = applied(session, office, number, email=f"{number}@region.example")
        messages.promise_moved(session, [(application, DAY, None)], occasion="plan:1", now=NOW)
    session.commit()
    with open_post(settings) as post:
        assert messages.send_due(session, post, site=SITE, now=NOW) == replace(outcome, sent=1)
    assert [letter["To"] for letter in box.letters] == ["2@region.example"], "the next letter does not suffer"
    assert messages.overview(session)["failed"] == outcome.given_up


def test_an_address_with_a_line_break_smuggles_nothing_in(
    session: Session, office: Office, mailbox: tuple[Mailbox, MailSettings]
) -> None:
    box, settings = mailbox
    application = applied(session, office, 1, email="a@region.example")
    evil = "a@region.example\r\nBcc: all@region.example"
    session.execute(update(Application).where(Application.id == application).values(email=evil))
    messages.promise_moved(session, [(application, DAY, None)], occasion="plan:1", now=NOW)
    session.commit()
    with open_post(settings) as post:
        assert messages.send_due(session, post, site=SITE, now=NOW) == Sent(given_up=1)
    assert box.letters == []


def test_a_worker_killed_in_the_middle_leaves_the_rest_to_the_next(
    session: Session, office: Office, mailbox: tuple[Mailbox, MailSettings]
) -> None:
    box, settings = mailbox
    for number in (1, 2, 3):
        application = applied(session, office, number, email=f"{number}@region.example")
        messages.promise_moved(session, [(application, DAY, None)], occasion="plan:1", now=NOW)
    session.commit()

    class Killed:
        def __init__(self, inner: Any) -> None:
            self.inner, self.left = inner, 2

        def deliver(self, letter: Any) -> None:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            self.inner.deliver(letter)

    with open_post(settings) as post:
        with pytest.raises(KeyboardInterrupt):
            messages.send_due(session, Killed(post), site=SITE, now=NOW)
        session.rollback()
        assert messages.send_due(session, post, site=SITE, now=NOW) == Sent(), "the other's lease holds"
        late = NOW + messages.LEASE
        assert messages.send_due(session, post, site=SITE, now=late) == Sent(1, 0, 0)
    assert sorted(letter["To"] for letter in box.letters) == [f"{number}@region.example" for number in (1, 2, 3)]


@pytest.mark.parametrize("language", message_words.LANGUAGES)
@pytest.mark.parametrize("kind", message_words.KINDS)
def test_every_template_has_both_languages_and_the_same_facts(kind: str, language: str) -> None:
    facts = {
        "point": {"ru": "МФЦ", "en": "Centre"}, "address": "ул. Ленина, 1", "days": 14, "until": "2026-05-01",
        "before": "2026-04-01", "after": "2026-04-04",
    }  # fmt: skip
    words = message_words.filled(kind, language, "2026-0000001", facts)
    assert "2026-0000001" in words.text and "{" not in words.text + words.subject
    templates = message_words.KINDS[kind]
    named = {one: set(re.findall(r"{(\w+)}", templates[one].text)) for one in message_words.LANGUAGES}
    assert named["ru"] == named["en"], "no language tells less than the other"
