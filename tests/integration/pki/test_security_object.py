"""Security objects: OpenSSL and our own verifier agree, and every alteration is found."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from issuance.errors import InvalidSecurityObject, IssuerExpired, PkiError
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.pki import cms, der, security_object
from issuance.pki.signing import Signer
from tests.support.keys import NOW, make_vault
from tests.support.pki import TODAY, Authority, make_authority, openssl, pem

GROUPS: Mapping[int, bytes] = {1: b"card data", 2: "Иванова".encode(), 3: b"documents", 4: bytes(9000)}


@pytest.fixture(scope="module")
def signed(authority: Authority) -> bytes:
    return security_object.sign(authority.document_signer, [security_object.digests(GROUPS)], now=TODAY)[0]


def test_our_verifier_accepts_it_with_its_data(authority: Authority, signed: bytes) -> None:
    found = security_object.verify(signed, authority.trust, GROUPS)
    assert found.digests == security_object.digests(GROUPS)
    assert found.signed_at == TODAY
    assert found.certificate == authority.document_signer.certificate


def cms_verify(folder: Path, authority: Authority, data: bytes) -> tuple[int, bytes, str]:
    (folder / "so").write_bytes(data)
    chain = folder / "chain"
    chain.write_bytes(
        pem(folder / "root", authority.ca.root).read_bytes()
        + pem(folder / "issuing", authority.ca.issuing).read_bytes()
    )
    result = openssl(
        "cms", "-verify", "-binary", "-inform", "DER", "-in", folder / "so", "-CAfile", chain, "-purpose", "any",
        "-out", folder / "content",
    )  # fmt: skip
    return result.returncode, (folder / "content").read_bytes(), result.stderr


def test_openssl_accepts_it_and_finds_the_digests(authority: Authority, signed: bytes, tmp_path: Path) -> None:
    code, content, text = cms_verify(tmp_path, authority, signed)
    assert code == 0, text
    for digest in security_object.digests(GROUPS).values():
        assert digest in content


def test_openssl_refuses_an_altered_one(authority: Authority, signed: bytes, tmp_path: Path) -> None:
    digest = security_object.digests(GROUPS)[2]
    code, _, text = cms_verify(tmp_path, authority, signed.replace(digest, bytes(32)))
    assert code != 0
    assert "content verify error" in text


def test_a_batch_covers_each_card_its_own_data(authority: Authority) -> None:
    lists = [security_object.digests({1: b"card %d" % number}) for number in range(5)]
    for number, data in enumerate(security_object.sign(authority.document_signer, lists, now=TODAY)):
        security_object.verify(data, authority.trust, {1: b"card %d" % number})
        with pytest.raises(InvalidSecurityObject):
            security_object.verify(data, authority.trust, {1: b"card %d" % (number + 1)})


@pytest.mark.parametrize(
    ("groups", "number"),
    [({**GROUPS, 3: b"other documents"}, 3), ({1: GROUPS[1]}, 2), ({**GROUPS, 5: b"one more"}, 5)],
    ids=["changed", "missing", "added"],
)
def test_changed_missing_or_added_data_are_named(
    authority: Authority, signed: bytes, groups: Mapping[int, bytes], number: int
) -> None:
    with pytest.raises(InvalidSecurityObject) as caught:
        security_object.verify(signed, authority.trust, groups)
    assert caught.value.group == number


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=300
)
@given(data=st.data())
def test_any_altered_byte_is_refused(authority: Authority, signed: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(signed) - 1))
    altered = bytearray(signed)
    altered[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidSecurityObject):
        security_object.verify(bytes(altered), authority.trust, GROUPS)


def test_unused_bits_of_the_certificates_signature_are_refused(authority: Authority) -> None:
    # The library takes such a signature where its last bit is zero, as half of them have it.
    signer, groups = authority.document_signer, {1: b"holder"}
    (data,) = security_object.sign(signer, [security_object.digests(groups)], now=TODAY)
    signature = x509.load_der_x509_certificate(signer.certificate).signature
    at = data.find(signature) - 1
    assert data[at] == 0
    for unused in (1, 7):
        with pytest.raises(InvalidSecurityObject):
            security_object.verify(data[:at] + bytes([unused]) + data[at + 1 :], authority.trust, groups)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(size=st.integers(0, 1100))
def test_any_cut_is_refused(authority: Authority, signed: bytes, size: int) -> None:
    with pytest.raises(InvalidSecurityObject):
        security_object.verify(signed[: min(size, len(signed) - 1)], authority.trust)


@given(noise=st.binary(max_size=200))
def test_noise_is_refused_and_nothing_worse(authority: Authority, noise: bytes) -> None:
    with pytest.raises(InvalidSecurityObject):
        security_object.verify(noise, authority.trust)


def test_a_holder_cannot_sign_data_groups(authority: Authority) -> None:
    # The holder's own certificate comes from the same authority: only its policy tells it from a document signer.
    holder_key = authority.vault.public_key(authority.vault.active(KeyPurpose.STATION))
    certificate = authority.issue("authentication", public_key=holder_key)
    holder = Signer.find(authority.vault, KeyPurpose.STATION, certificate)
    forged = security_object.sign(holder, [security_object.digests(GROUPS)], now=TODAY)[0]
    with pytest.raises(InvalidSecurityObject) as caught:
        security_object.verify(forged, authority.trust, GROUPS)
    assert "something else" in str(caught.value)


def test_another_authority_is_not_trusted(authority: Authority, signed: bytes, tmp_path: Path) -> None:
    with make_vault(tmp_path / "vault") as vault, pytest.raises(InvalidSecurityObject) as caught:
        security_object.verify(signed, make_authority(vault).trust, GROUPS)
    assert "trusted authority" in str(caught.value)


def test_an_expired_document_signer_signs_nothing_and_its_old_objects_stay_good(
    authority: Authority, signed: bytes
) -> None:
    with pytest.raises(IssuerExpired):
        security_object.sign(authority.document_signer, [{1: bytes(32)}], now=TODAY + timedelta(days=3000))
    forged = replace(authority.document_signer, not_after=TODAY + timedelta(days=9999))
    late = security_object.sign(forged, [security_object.digests(GROUPS)], now=TODAY + timedelta(days=3000))[0]
    with pytest.raises(InvalidSecurityObject) as caught:
        security_object.verify(late, authority.trust, GROUPS)
    assert "not valid on" in str(caught.value)
    assert security_object.verify(signed, authority.trust, GROUPS)


@pytest.mark.parametrize("hash_list", [{}, {0: bytes(32)}, {17: bytes(32)}, {1: bytes(31)}])
def test_an_impossible_list_is_not_signed(authority: Authority, hash_list: dict[int, bytes]) -> None:
    with pytest.raises(PkiError):
        security_object.sign(authority.document_signer, [hash_list], now=TODAY)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_2048])
def test_other_signature_algorithms_work_too(tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    with make_vault(tmp_path / "vault") as vault:
        vault.generate(KeyPurpose.DOCUMENT_SIGNER, algorithm, now=NOW)
        other = make_authority(vault)
        data = security_object.sign(other.document_signer, [security_object.digests(GROUPS)], now=TODAY)[0]
        assert security_object.verify(data, other.trust, GROUPS).signed_at == TODAY
        code, _, text = cms_verify(tmp_path, other, data)
        assert code == 0, text


def forged_content(authority: Authority, content: bytes) -> bytes:
    return cms.sign(authority.document_signer, security_object.LDS_SECURITY_OBJECT, [content], now=TODAY)[0]


SHA_256 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"))
ENTRY = der.sequence(der.integer(1), der.octets(bytes(32)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        der.sequence(der.integer(1), SHA_256, der.sequence(ENTRY)),
        der.sequence(der.integer(0), der.sequence(der.oid("1.3.14.3.2.26")), der.sequence(ENTRY)),
        der.sequence(der.integer(0), SHA_256, der.sequence(ENTRY, ENTRY)),
        der.sequence(der.integer(0), SHA_256, der.sequence(der.sequence(der.integer(1), der.octets(b"short")))),
        der.sequence(der.integer(0), SHA_256),
    ],
    ids=["empty", "version", "sha-1", "twice", "short", "no list"],
)
def test_a_signed_list_of_another_form_is_refused(authority: Authority, content: bytes) -> None:
    with pytest.raises(InvalidSecurityObject):
        security_object.verify(forged_content(authority, content), authority.trust)
