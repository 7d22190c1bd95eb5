"""Whatever a template puts wrong, the library's own builder names the field; a sample of each batch is held so."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509

from issuance.errors import PkiError
from issuance.pki import ca as ca_module
from issuance.pki import template
from issuance.pki.ca import SAMPLE_ONE_IN
from issuance.pki.names import CardNames
from issuance.pki.profiles import shipped_profiles
from issuance.pki.second_opinion import differences
from tests.support.pki import CARD_NAMES, TODAY, Authority, fresh_public_key

PROFILES = list(shipped_profiles())
CHANGES: dict[str, dict[str, Any]] = {
    "serial": {"serial": 77},
    "not before": {"not_before": TODAY - timedelta(minutes=59)},
    "not after": {"not_after": TODAY + timedelta(days=61)},
    "2.5.29.31": {"crl_part": 5},
}


def opinion(authority: Authority, certificate: bytes, request: Any, **config: object) -> list[str]:
    return differences(
        x509.load_der_x509_certificate(certificate),
        request,
        authority.ca.profiles[request.profile],
        issuer=x509.load_der_x509_certificate(authority.ca.issuing),
        config=replace(authority.ca.config, **config),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("part", [None, 3])
def test_what_was_issued_is_what_the_library_makes_of_it(authority: Authority, profile: str, part: int | None) -> None:
    request = authority.request(profile, crl_part=part)
    (certificate,) = authority.ca.sign([authority.ca.prepare(request)], now=TODAY)
    assert opinion(authority, certificate, request) == []


@pytest.mark.parametrize("field", list(CHANGES))
def test_another_request_differs_in_that_field(authority: Authority, field: str) -> None:
    request = authority.request()
    (certificate,) = authority.ca.sign([authority.ca.prepare(request)], now=TODAY)
    assert opinion(authority, certificate, replace(request, **CHANGES[field])) == [field]


def test_another_key_subject_policy_or_address_is_named(authority: Authority) -> None:
    request = authority.request()
    (certificate,) = authority.ca.sign([authority.ca.prepare(request)], now=TODAY)
    assert opinion(authority, certificate, replace(request, public_key=fresh_public_key())) == ["key", "2.5.29.14"]
    stranger = replace(request.subject, given_name="Анна")
    assert opinion(authority, certificate, replace(request, subject=stranger)) == ["subject"]
    assert opinion(authority, certificate, request, policy_arc="1.3.6.1.4.1.32473.2") == ["2.5.29.32"]
    assert opinion(authority, certificate, request, ocsp=False) == ["1.3.6.1.5.5.7.1.1"]
    usages = opinion(authority, certificate, replace(request, profile="signature"))
    assert usages == ["2.5.29.15", "2.5.29.37", "2.5.29.32"]


@pytest.mark.parametrize("other", [CardNames(bytes(25), CARD_NAMES.uuid), CardNames(CARD_NAMES.fasc_n, UUID(int=7))])
def test_another_name_of_the_card_is_named(authority: Authority, other: CardNames) -> None:
    request = authority.request("piv-authentication")
    (certificate,) = authority.ca.sign([authority.ca.prepare(request)], now=TODAY)
    assert opinion(authority, certificate, replace(request, card_names=other)) == ["2.5.29.17"]


def test_a_name_that_is_long_in_bytes_only_is_no_difference(authority: Authority) -> None:
    subject = replace(authority.request().subject, common_name="Щ" * 60)
    request = authority.request(subject=subject)
    (certificate,) = authority.ca.sign([authority.ca.prepare(request)], now=TODAY)
    assert opinion(authority, certificate, request) == []


def test_a_template_that_errs_stops_the_issuing(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = template.Template.fill

    def err(self: template.Template, serial: int, *parts: bytes, names: CardNames | None) -> bytes:
        return fill(self, serial + 1, *parts, names=names)

    monkeypatch.setattr(template.Template, "fill", err)
    prepared = [authority.ca.prepare(authority.request())]
    with pytest.raises(PkiError, match=r"\(serial\): stop issuing"):
        authority.ca.sign(prepared, now=TODAY)


def test_the_last_of_a_batch_and_one_in_a_hundred_are_looked_at(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = []

    def look(certificate: x509.Certificate, *_: object, **__: object) -> list[str]:
        looked_at.append(certificate.serial_number)
        return []

    monkeypatch.setattr(ca_module, "differences", look)
    key = fresh_public_key()
    count = 2 * SAMPLE_ONE_IN + 5
    batch = [authority.ca.prepare(authority.request(serial=number + 1, public_key=key)) for number in range(count)]
    authority.ca.sign(batch, now=TODAY)
    assert looked_at == [count, count - SAMPLE_ONE_IN, count - 2 * SAMPLE_ONE_IN]
    authority.ca.sign([], now=TODAY)
    assert len(looked_at) == 3
