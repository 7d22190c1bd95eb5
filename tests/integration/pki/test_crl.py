"""Revocation lists before OpenSSL, pkilint and the library's parser."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from issuance.errors import IssuerExpired, PkiError
from issuance.keys.port import KeyPurpose
from issuance.pki.crl import (
    REASON_CODES,
    RevocationReason,
    RevokedEntry,
    build_crl,
    build_delta,
    encode_entry,
    encode_removal,
)
from issuance.pki.signing import Signer
from tests.support.pki import CONFIG, TODAY, Authority, lint_list, openssl, pem

DATES = {"this_update": TODAY, "next_update": TODAY + timedelta(days=1)}


def verify(folder: Path, authority: Authority, certificate: bytes, crl: bytes) -> tuple[int, str]:
    """OpenSSL's word on one certificate under one list."""
    result = openssl(
        "verify", "-x509_strict", "-crl_check", "-CAfile", pem(folder / "root", authority.ca.root),
        "-untrusted", pem(folder / "issuing", authority.ca.issuing),
        "-CRLfile", pem(folder / "crl", crl), pem(folder / "certificate", certificate),
    )  # fmt: skip
    return result.returncode, result.stderr


def serial_of(certificate: bytes) -> int:
    return x509.load_der_x509_certificate(certificate).serial_number


def test_openssl_agrees_through_suspension_and_back_and_revocation(authority: Authority, tmp_path: Path) -> None:
    certificate = authority.issue()
    held = encode_entry(RevokedEntry(serial_of(certificate), TODAY, RevocationReason.CERTIFICATE_HOLD))
    gone = encode_entry(RevokedEntry(serial_of(certificate), TODAY, RevocationReason.KEY_COMPROMISE))
    for number, (entries, code) in enumerate([([], 0), ([held], 2), ([], 0), ([gone], 2)], start=1):
        crl = build_crl(authority.ca.signer, number=number, entries=entries, **DATES)
        found, text = verify(tmp_path, authority, certificate, crl)
        assert found == code, text
        assert ("certificate revoked" in text) is bool(entries)


def test_another_certificate_on_the_list_does_not_matter(authority: Authority, tmp_path: Path) -> None:
    certificate = authority.issue()
    other = encode_entry(RevokedEntry(serial_of(certificate) + 1, TODAY))
    assert (
        verify(tmp_path, authority, certificate, build_crl(authority.ca.signer, number=1, entries=[other], **DATES))[0]
        == 0
    )


def test_every_reason_reads_back(authority: Authority) -> None:
    entries = [RevokedEntry(100 + code, TODAY, reason) for reason, code in REASON_CODES.items()]
    crl = x509.load_der_x509_crl(build_crl(authority.ca.signer, number=7, entries=map(encode_entry, entries), **DATES))
    assert len(crl) == len(RevocationReason)
    for entry in entries:
        found = crl.get_revoked_certificate_by_serial_number(entry.serial)
        assert found is not None
        assert found.revocation_date_utc == TODAY
        if entry.reason is RevocationReason.UNSPECIFIED:
            assert len(found.extensions) == 0
            continue
        reason = found.extensions.get_extension_for_class(x509.CRLReason).value
        assert reason.public_bytes() == bytes((0x0A, 0x01, REASON_CODES[entry.reason]))
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
    assert (crl.last_update_utc, crl.next_update_utc) == (DATES["this_update"], DATES["next_update"])
    issuer = x509.load_der_x509_certificate(authority.ca.issuing)
    assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["empty", "full", "partition", "delta"])
def test_pkilint_and_openssl_find_nothing(authority: Authority, tmp_path: Path, kind: str) -> None:
    signer = authority.ca.signer
    entry = encode_entry(RevokedEntry(5, TODAY, RevocationReason.CERTIFICATE_HOLD))
    crl = {
        "empty": lambda: build_crl(signer, number=1, entries=[], **DATES),
        "full": lambda: build_crl(signer, number=1, entries=[entry], **DATES),
        "partition": lambda: build_crl(signer, number=1, entries=[entry], url=CONFIG.crl_url(2), **DATES),
        "delta": lambda: build_delta(signer, number=2, base_number=1, entries=[encode_removal(5, TODAY)], **DATES),
    }[kind]()
    path = pem(tmp_path / "crl", crl)
    assert lint_list(path) == ""
    checked = openssl("crl", "-in", path, "-noout", "-CAfile", pem(tmp_path / "issuing", authority.ca.issuing))
    assert "verify OK" in checked.stderr


def test_the_roots_own_list_covers_the_issuing_authority(authority: Authority, tmp_path: Path) -> None:
    root = Signer.find(authority.vault, KeyPurpose.CA_ROOT, authority.ca.root)
    gone = encode_entry(RevokedEntry(serial_of(authority.ca.issuing), TODAY))
    for entries, code in (([], 0), ([gone], 2)):
        crl = build_crl(root, number=1, entries=entries, **DATES)
        result = openssl(
            "verify", "-x509_strict", "-crl_check", "-CAfile", pem(tmp_path / "root", authority.ca.root),
            "-CRLfile", pem(tmp_path / "crl", crl), pem(tmp_path / "issuing", authority.ca.issuing),
        )  # fmt: skip
        assert result.returncode == code


def test_a_delta_tells_what_came_off(authority: Authority) -> None:
    crl = x509.load_der_x509_crl(
        build_delta(
            authority.ca.signer,
            number=9,
            base_number=4,
            entries=[encode_removal(17, TODAY), encode_entry(RevokedEntry(18, TODAY))],
            **DATES,
        )
    )
    indicator = crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert (indicator.critical, indicator.value.crl_number) == (True, 4)
    removed = crl.get_revoked_certificate_by_serial_number(17)
    assert removed is not None
    assert removed.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.remove_from_crl


def test_a_part_speaks_for_its_own_address(authority: Authority) -> None:
    crl = x509.load_der_x509_crl(build_crl(authority.ca.signer, number=1, entries=[], url=CONFIG.crl_url(3), **DATES))
    point = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert point.critical
    assert point.value.full_name is not None
    assert point.value.full_name[0].value == CONFIG.crl_url(3)


def test_impossible_lists_are_refused(authority: Authority) -> None:
    signer = authority.ca.signer
    with pytest.raises(PkiError):
        build_crl(signer, number=1, this_update=TODAY, next_update=TODAY, entries=[])
    with pytest.raises(PkiError):
        build_delta(signer, number=4, base_number=4, entries=[], **DATES)
    with pytest.raises(IssuerExpired):
        late = TODAY + timedelta(days=9000)
        build_crl(signer, number=1, this_update=late, next_update=late + timedelta(days=1), entries=[])


def test_cost_grows_with_length_and_not_faster(authority: Authority) -> None:
    entry = encode_entry(RevokedEntry(1 << 127, TODAY, RevocationReason.SUPERSEDED))

    def seconds(count: int) -> float:
        started = time.process_time()
        crl = build_crl(authority.ca.signer, number=1, entries=[entry] * count, **DATES)
        took = time.process_time() - started
        assert len(crl) > count * len(entry)
        return took

    # Sixteen times the entries: a quadratic way would take 256 times as long. The best of some: others use the machine.
    few, many = (min(seconds(count) for _ in range(3)) for count in (20_000, 320_000))
    assert many < 64 * max(few, 0.005)
