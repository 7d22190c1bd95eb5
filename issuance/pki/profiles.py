"""Certificate profiles as data: what a certificate of each kind may say (`profiles.toml` beside this module).

RFC 5280 sections 4.2.1.3 (key usage), 4.2.1.4 (policies), 4.2.1.12 (extended key usage).
"""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

from issuance.errors import BadSettings
from issuance.keys.port import KeyAlgorithm

KEY_USAGES = {
    "digital_signature": 0,
    "content_commitment": 1,
    "key_encipherment": 2,
    "data_encipherment": 3,
    "key_agreement": 4,
    "key_cert_sign": 5,
    "crl_sign": 6,
}
"""Bit numbers of the key usage extension."""

EXTENDED_KEY_USAGES = {
    "server_auth": "1.3.6.1.5.5.7.3.1",
    "client_auth": "1.3.6.1.5.5.7.3.2",
    "time_stamping": "1.3.6.1.5.5.7.3.8",
    "ocsp_signing": "1.3.6.1.5.5.7.3.9",
    "piv_content_signing": "2.16.840.1.101.3.6.7",
    "piv_card_authentication": "2.16.840.1.101.3.6.8",
}
ALTERNATIVE_NAMES = ("fasc_n", "uuid")
SUBJECT_ATTRIBUTES = ("country", "organization", "surname", "given_name", "common_name", "serial_number")


@dataclass(frozen=True)
class Profile:
    """What certificates of one kind have in common; `extended` holds OIDs, `optional` is a part of `subject`.

    `critical` says so of the extended key usage; `alternative` are the other names of the card that they carry.
    """

    name: str
    subject: tuple[str, ...]
    optional: frozenset[str]
    key_usage: tuple[str, ...]
    extended: tuple[str, ...]
    policy: int
    max_days: int
    keys: frozenset[KeyAlgorithm]
    no_check: bool = False
    critical: bool = False
    alternative: tuple[str, ...] = ()


def parse_profiles(text: str) -> dict[str, Profile]:
    """Read profiles from TOML; raises `BadSettings` for anything unknown, missing or misspelt."""
    try:
        tables = tomllib.loads(text)
        return {name: _profile(name, table) for name, table in tables.items()}
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"the certificate profiles are no TOML: {error}") from error


def shipped_profiles() -> Mapping[str, Profile]:
    """Return the profiles that come with the package."""
    return parse_profiles(resources.files(__package__).joinpath("profiles.toml").read_text("utf-8"))


def _profile(name: str, table: dict[str, Any]) -> Profile:
    known = {field.name for field in fields(Profile)} - {"name", "optional"}
    if unknown := sorted(set(table) - known):
        raise BadSettings(f"certificate profile {name}: {unknown[0]} is unknown; known are {', '.join(sorted(known))}")
    if missing := sorted(known - {"no_check", "critical", "alternative"} - set(table)):
        raise BadSettings(f"certificate profile {name}: {missing[0]} is missing")
    listed = [attribute.removesuffix("?") for attribute in table["subject"]]
    _all_known(name, "subject", listed, SUBJECT_ATTRIBUTES)
    _all_known(name, "key_usage", table["key_usage"], KEY_USAGES)
    _all_known(name, "alternative", table.get("alternative", []), ALTERNATIVE_NAMES)
    _all_known(name, "keys", table["keys"], [algorithm.value for algorithm in KeyAlgorithm])
    return Profile(
        name=name,
        subject=tuple(listed),
        optional=frozenset(attribute.removesuffix("?") for attribute in table["subject"] if attribute.endswith("?")),
        key_usage=tuple(table["key_usage"]),
        extended=tuple(_extended(name, item) for item in table["extended"]),
        policy=table["policy"],
        max_days=table["max_days"],
        keys=frozenset(KeyAlgorithm(value) for value in table["keys"]),
        no_check=table.get("no_check", False),
        critical=table.get("critical", False),
        alternative=tuple(table.get("alternative", ())),
    )


def _all_known(profile: str, member: str, values: list[str], known: Collection[str]) -> None:
    for value in values:
        if value not in known:
            raise BadSettings(
                f"certificate profile {profile}: {member} cannot be {value}; choose of {', '.join(known)}"
            )


def _extended(profile: str, value: str) -> str:
    dotted = EXTENDED_KEY_USAGES.get(value, value)
    if not all(arc.isdigit() for arc in dotted.split(".")) or "." not in dotted:
        raise BadSettings(f"certificate profile {profile}: extended cannot be {value}; give a name or an OID")
    return dotted
