"""Hides which language a page speaks: the visitor's choice in a cookie, else the office's default."""

from datetime import date, datetime
from urllib.parse import urlsplit

from flask import Flask, request
from flask_babel import Babel, format_date, format_datetime, get_locale

LANGUAGES = {"ru": "Русский", "en": "English"}
COOKIE = "uec_language"
YEAR_S = 365 * 24 * 3600


def local_path(address: str | None, fallback: str = "/") -> str:
    """Return `address` if it is a path of this site, else the fallback; so that nobody is sent elsewhere."""
    if not address or not address.startswith("/") or address.startswith(("//", "/\\")):
        return fallback
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or any(ord(letter) < 32 for letter in address):
        return fallback
    return address


def language() -> str:
    """Return `ru` or `en` for this request."""
    locale = get_locale()
    return str(locale.language) if locale else "ru"


def pick(ru: str, en: str) -> str:
    """Return the name in the language of the page; the Russian one where there is no English."""
    return (en or ru) if language() == "en" else ru


def day(value: date | datetime | None) -> str:
    """Write a day as people do: 3 марта 2026; of a moment, the day that it was here."""
    return "" if value is None else str(format_date(value, "d MMMM y"))


def short_day(value: date | None) -> str:
    """Write a day for a table: 03.03.2026, or 3 Mar 2026."""
    if value is None:
        return ""
    return str(format_date(value, "dd.MM.y" if language() == "ru" else "d MMM y"))


def moment(value: datetime | None) -> str:
    """Write a moment in the office's time zone, to the minute."""
    if value is None:
        return ""
    return str(format_datetime(value, "dd.MM.y HH:mm" if language() == "ru" else "d MMM y, HH:mm"))


def exact_moment(value: datetime | None) -> str:
    """Write a moment in the office's time zone, to the second."""
    if value is None:
        return ""
    return str(format_datetime(value, "dd.MM.y HH:mm:ss" if language() == "ru" else "d MMM y, HH:mm:ss"))


def speak(app: Flask, *, default: str, timezone: str) -> None:
    """Set up translations and the filters for dates."""

    def choose() -> str:
        wanted = request.cookies.get(COOKIE, "")
        return wanted if wanted in LANGUAGES else default

    app.config["BABEL_DEFAULT_LOCALE"] = default
    app.config["BABEL_DEFAULT_TIMEZONE"] = timezone
    Babel(app, locale_selector=choose)
    app.jinja_env.filters.update(day=day, short_day=short_day, moment=moment)
    app.jinja_env.globals.update(language=language, languages=LANGUAGES, pick=pick)
