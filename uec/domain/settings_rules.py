"""Hides what a value of the settings must look like to be of use: addresses, ports, zones, prefixes, names.

A wrong value is found when the file is read, by whatever is started first, and not at night by what needs it.
"""

import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

LOCALES = ("ru", "en")
# X.520 upper bounds of names in certificates, in characters.
_NAME_LIMIT = 64
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


def split_address(text: str) -> tuple[str, int]:
    """Return host (without the brackets of IPv6) and port of `HOST:PORT`; raise `ValueError` for anything else."""
    host, colon, port = text.rpartition(":")
    if not colon or not _HOST.fullmatch(host) or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(text)
    return host.strip("[]"), int(port)


def _is_address(value: str) -> bool:
    try:
        split_address(value)
    except ValueError:
        return False
    return True


def _is_url(*schemes: str) -> Callable[[str], bool]:
    def fits(value: str) -> bool:
        try:
            parts = urlsplit(value)
            return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:  # the port, or half an IPv6 address
            return False

    return fits


def _is_zone(value: str) -> bool:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        return False
    return True


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(pattern, value) is not None


def _is_name(value: str) -> bool:
    return len(value.strip()) > 0 and len(value) <= _NAME_LIMIT and value.isprintable()


def _is_memory_free(value: str) -> bool:
    # Each process would have an empty database of its own.
    return value not in {"sqlite:", "sqlite:/", "sqlite://", "sqlite:///", "sqlite:///:memory:"}


_ADDRESS = (_is_address, "an address with a port, like 127.0.0.1:8080")
_CERTIFIED = (_is_name, f"a name of 1 to {_NAME_LIMIT} printable characters: it is written into certificates")

# Key of the settings -> whether a value will do, and what it must be.
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "database_url": (_is_memory_free, "a database that all processes share: sqlite:///PATH or postgresql://HOST/NAME"),
    "web_listen": _ADDRESS,
    "hub_listen": _ADDRESS,
    "hub_tls": (("auto", "always", "never").__contains__, "auto, always or never"),
    "hub_url": (_is_url("ws", "wss"), "an address like wss://HOST or ws://127.0.0.1:8081"),
    "base_url": (_is_url("http", "https"), "the address that citizens type, like https://HOST"),
    "ocsp_listen": _ADDRESS,
    "ocsp_url": (_is_url("http"), "an address like http://HOST/pki/ocsp, plain http"),
    "register_gateway_url": (_is_url("http", "https"), "an address like http://HOST:PORT"),
    "register_gateway_timeout_s": (lambda value: math.isfinite(value) and 0 < value <= 300, "0.1 to 300 seconds"),
    "timezone": (_is_zone, "a time zone like Asia/Yekaterinburg"),
    "locale": (LOCALES.__contains__, f"one of {', '.join(LOCALES)}"),
    "card_number_prefix": (_matches(r"[0-9]{1,10}"), "1 to 10 digits"),
    "default_profile": (_matches(r"[A-Za-z0-9_-]+"), "the name of a file in profile_dir, without .toml"),
    "pki.country": (_matches(r"[A-Z]{2}"), "a country code of two capital letters, like RU"),
    "pki.lists_url": (lambda value: not value or _is_url("http")(value), "empty, or an address like http://HOST"),
    "pki.crl_part_entries": (lambda value: value == 0 or value >= 10, "0 for one list, or 10 and more"),
    "mail.smtp": (lambda value: not value or _is_address(value), "empty, or an address like mail.host:587"),
    "mail.sender": (_matches(r"[^@<>]*<[^@<>\s]+@[^@<>\s]+>|[^@<>\s]+@[^@<>\s]+"), "an address like uec@example.ru"),
    "mail.tls": (("starttls", "always", "never").__contains__, "starttls, always or never"),
    "mail.timeout_s": (lambda value: math.isfinite(value) and 0 < value <= 300, "0.1 to 300 seconds"),
    "pki.organisation": _CERTIFIED,
    "pki.root_name": _CERTIFIED,
    "pki.issuing_name": _CERTIFIED,
    "pki.document_signer_name": _CERTIFIED,
}  # fmt: skip


def fault_of(key: str, value: Any) -> str | None:
    """Return what the value of a key must be when it is not that, else None."""
    if key not in RULES:
        return None
    fits, wanted = RULES[key]
    return None if fits(value) else wanted
