"""Hides how a letter leaves the house: SMTP (RFC 5321) with time limits, plain text in UTF-8 (RFC 5322, 2045).

One connection carries many letters. A refusal for good (5yz) and one for the moment (4yz, no answer) are told apart:
only the latter is worth another try.
"""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Protocol

from uec.domain.errors import UecError
from uec.domain.settings_rules import split_address
from uec.settings import MailSettings


class MailRefused(UecError):
    """The mail server will never take this letter. Facts: `reply` (its code)."""

    code = "uec.mail_refused"


class MailUnavailable(UecError):
    """The mail server cannot be reached, or does not take the letter now; it is tried again by itself."""

    code = "uec.mail_unavailable"


@dataclass(frozen=True)
class Letter:
    """One letter; `name` stays the same however often it is sent, so that a mailbox can drop the second copy."""

    name: str
    recipient: str
    subject: str
    text: str
    language: str
    at: datetime


class Post(Protocol):
    """What letters are given to."""

    def deliver(self, letter: Letter) -> None:
        """Hand over one letter; raises `MailRefused` or `MailUnavailable`."""


@contextmanager
def open_post(settings: MailSettings) -> Iterator[Post]:
    """A connection to the mail server, made at the first letter and closed at the end."""
    post = SmtpPost(settings)
    try:
        yield post
    finally:
        post.close()


class SmtpPost:
    """Letters over one SMTP connection, made anew when it broke."""

    def __init__(self, settings: MailSettings) -> None:
        """Take where to and as whom; nothing is opened yet."""
        self._settings = settings
        self._client: smtplib.SMTP | None = None

    def deliver(self, letter: Letter) -> None:
        """Hand over one letter; raises `MailRefused` or `MailUnavailable`."""
        try:
            self._connected().send_message(_message(letter, self._settings.sender))
        except smtplib.SMTPRecipientsRefused as error:
            (code, _said) = next(iter(error.recipients.values()))
            raise _refusal(code) from error
        except smtplib.SMTPResponseException as error:
            self.close()
            raise _refusal(error.smtp_code) from error
        except (smtplib.SMTPException, OSError) as error:
            self.close()
            raise MailUnavailable("The mail server does not answer: look at [mail] and at the server.") from error

    def close(self) -> None:
        """Say goodbye, if there is still somebody to say it to."""
        client, self._client = self._client, None
        if client is not None:
            try:
                client.quit()
            except (smtplib.SMTPException, OSError):
                client.close()

    def _connected(self) -> smtplib.SMTP:
        if self._client is None:
            self._client = _connect(self._settings)
        return self._client


def _connect(settings: MailSettings) -> smtplib.SMTP:
    host, port = split_address(settings.smtp)
    context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file.name else None)
    if settings.tls == "always":
        client: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=settings.timeout_s, context=context)
    else:
        client = smtplib.SMTP(host, port, timeout=settings.timeout_s)
    try:
        if settings.tls == "starttls":
            client.starttls(context=context)
        if settings.login:
            client.login(settings.login, settings.password_file.read_text(encoding="utf-8").rstrip("\r\n"))
    except (smtplib.SMTPException, OSError):
        client.close()
        raise
    return client


def _refusal(code: int) -> UecError:
    if 500 <= code < 600:
        return MailRefused(f"The mail server refuses the letter for good (reply {code}).", reply=code)
    return MailUnavailable(f"The mail server does not take the letter now (reply {code}).", reply=code)


def _message(letter: Letter, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    try:
        message["To"] = letter.recipient
    except ValueError as error:  # a line break, by which somebody would write headers of their own
        raise MailRefused("The address is none that a letter can go to.", reply=0) from error
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(letter.at)
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    message["Message-ID"] = f"<{letter.name}@{domain}>"
    # RFC 3834: nobody's holiday answer comes back to a machine.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    message["Content-Language"] = letter.language
    return message
