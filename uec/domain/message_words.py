"""The words of the messages that applicants get by mail and see on the status page, in both languages.

A message names the application by its number and says what to do; no name, no document number, no card number, never a
secret: a mailbox is read by others too. A template is filled from the facts of its message alone, so that the words
can be put to it when it is sent or shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

LANGUAGES = ("ru", "en")


@dataclass(frozen=True)
class Words:
    """Subject and text in one language; names in braces are facts."""

    subject: str
    text: str


KINDS: Mapping[str, Mapping[str, Words]] = {
    "ready": {
        "ru": Words(
            "Карта готова: приходите за ней",
            "Карта по заявлению {number} готова. Её выдадут здесь: {point}, {address}. Возьмите с собой паспорт и "
            "расписку. Карта хранится до {until}.",
        ),
        "en": Words(
            "Your card is ready: come and collect it",
            "The card for application {number} is ready. It is handed over here: {point}, {address}. Bring your "
            "passport and the receipt. The card is kept until {until}.",
        ),
    },
    "unclaimed": {
        "ru": Words(
            "Карта ждёт вас",
            "Карта по заявлению {number} лежит в пункте выдачи уже {days} дн.: {point}, {address}. Заберите её до "
            "{until}; после этого дня её вернут и уничтожат.",
        ),
        "en": Words(
            "Your card is waiting",
            "The card for application {number} has been at the point for {days} days: {point}, {address}. Collect it "
            "by {until}; after that day it is returned and destroyed.",
        ),
    },
    "card-expiry": {
        "ru": Words(
            "Срок действия карты кончается",
            "Карта по заявлению {number} действует до {until} включительно. Подайте заявление на замену в любом "
            "пункте приёма; замена бесплатна.",
        ),
        "en": Words(
            "Your card expires soon",
            "The card for application {number} is valid until {until}. Apply for its replacement at any acceptance "
            "point; the replacement is free.",
        ),
    },
    "certificate-expiry": {
        "ru": Words(
            "Срок действия сертификата кончается",
            "Сертификат на карте по заявлению {number} действует до {until}. Обновите его в любом пункте приёма.",
        ),
        "en": Words(
            "The certificate on your card expires soon",
            "The certificate on the card for application {number} is valid until {until}. Have it renewed at any "
            "acceptance point.",
        ),
    },
    "promise-moved": {
        "ru": Words(
            "День готовности карты изменился",
            "Карту по заявлению {number} обещали к {before}. Теперь она будет готова к {after}. Приносим извинения, "
            "если это позже; приходить в пункт до этого дня не нужно.",
        ),
        "en": Words(
            "The day of your card has moved",
            "The card for application {number} was promised by {before}. Now it will be ready by {after}. We are sorry "
            "if that is later; there is no need to come before that day.",
        ),
    },
    "promise-open": {
        "ru": Words(
            "День готовности карты изменился",
            "Карту по заявлению {number} обещали к {before}. К этому дню она не будет готова; новый день сообщим "
            "отдельно.",
        ),
        "en": Words(
            "The day of your card has moved",
            "The card for application {number} was promised by {before}. It will not be ready by then; we shall tell "
            "you the new day.",
        ),
    },
}


def filled(kind: str, language: str, number: str, facts: Mapping[str, Any]) -> Words:
    """Subject and text of a message about application `number`; days in the facts are written as ISO 8601.

    Raises `KeyError` for an unknown kind or language, and for a fact that the template names and nobody gave.
    """
    words = KINDS[kind][language]
    told = {name: _told(value, language) for name, value in facts.items()} | {"number": number}
    return Words(words.subject.format_map(told), words.text.format_map(told))


def _told(value: Any, language: str) -> str:
    if isinstance(value, Mapping):
        return str(value[language])
    try:
        return f"{date.fromisoformat(str(value)):%d.%m.%Y}"
    except ValueError:
        return str(value)
