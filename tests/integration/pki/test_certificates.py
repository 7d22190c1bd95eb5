"""Certificates before three judges: OpenSSL's strict verification, pkilint, and the library's own builder."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from issuance.errors import BadSettings, IssuerExpired, RequestRefused, UnfitKey
from issuance.keys.file_vault import FileVault
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.pki.ca import CertificateAuthority, CertificateRequest, new_serial
from issuance.pki.crl import build_crl
from issuance.pki.profiles import Profile, shipped_profiles
from issuance.pki.signing import Signer
from tests.support.keys import NOW, make_vault
from tests.support.pki import (
    CARD_NAMES,
    CONFIG,
    TODAY,
    Authority,
    fresh_public_key,
    lint_certificate,
    lint_chain,
    make_authority,
    openssl,
    pem,
)

PROFILES = list(shipped_profiles())
ATTRIBUTES = {
    "country": NameOID.COUNTRY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "surname": NameOID.SURNAME,
    "given_name": NameOID.GIVEN_NAME,
    "common_name": NameOID.COMMON_NAME,
    "serial_number": NameOID.SERIAL_NUMBER,
}
USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
          "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip


def library_tbs(authority: Authority, request: CertificateRequest, profile: Profile) -> bytes:
    """The to-be-signed bytes that the library's builder makes of the same request."""
    ca = authority.ca
    issuer = x509.load_der_x509_certificate(ca.issuing)
    subject = x509.Name(
        [x509.NameAttribute(ATTRIBUTES[name], getattr(request.subject, name)) for name in profile.subject]
    )
    spki = request.public_key
    key = serialization.load_der_public_key(spki)
    builder = (
        x509.CertificateBuilder()
        .serial_number(request.serial)
        .issuer_name(issuer.subject)
        .subject_name(subject)
        .not_valid_before(request.not_before)
        .not_valid_after(request.not_after)
        .public_key(key)  # type: ignore[arg-type]
    )
    identifier = hashes.Hash(hashes.SHA256())
    identifier.update(spki)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value), False),
        (x509.SubjectKeyIdentifier(identifier.finalize()[:20]), False),
        (x509.KeyUsage(*(name in profile.key_usage for name in USAGES)), True),
    ]  # fmt: skip
    if profile.extended:
        usages = [x509.ObjectIdentifier(oid) for oid in profile.extended]
        extensions.append((x509.ExtendedKeyUsage(usages), profile.name == "piv-card-authentication"))
    policy = x509.PolicyInformation(x509.ObjectIdentifier(f"{ca.config.policy_arc}.{profile.policy}"), None)
    extensions.append((x509.CertificatePolicies([policy]), False))
    places = [(AuthorityInformationAccessOID.CA_ISSUERS, ca.config.issuing_certificate_url)]
    if profile.no_check:
        extensions.append((x509.OCSPNoCheck(), False))
    else:
        url = x509.UniformResourceIdentifier(ca.config.crl_url())
        extensions.append((x509.CRLDistributionPoints([x509.DistributionPoint([url], None, None, None)]), False))
        places.insert(0, (AuthorityInformationAccessOID.OCSP, ca.config.ocsp_url or ""))
    access = [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in places]
    extensions.append((x509.AuthorityInformationAccess(access), False))
    if request.card_names is not None:
        number = b"\x04\x19" + request.card_names.fasc_n
        fasc_n = x509.OtherName(x509.ObjectIdentifier("2.16.840.1.101.3.6.6"), number)
        uuid = x509.UniformResourceIdentifier(f"urn:uuid:{request.card_names.uuid}")
        extensions.append((x509.SubjectAlternativeName([fasc_n, uuid]), False))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).tbs_certificate_bytes


@pytest.mark.parametrize("profile", PROFILES)
def test_the_template_gives_what_the_librarys_builder_gives(authority: Authority, profile: str) -> None:
    request = authority.request(profile)
    ours = authority.ca.prepare(request).tbs_der
    assert ours == library_tbs(authority, request, authority.ca.profiles[profile])


@pytest.mark.parametrize("profile", PROFILES)
def test_openssl_and_pkilint_find_nothing(authority: Authority, tmp_path: Path, profile: str) -> None:
    root, issuing = pem(tmp_path / "root", authority.ca.root), pem(tmp_path / "issuing", authority.ca.issuing)
    certificate = pem(tmp_path / "certificate", authority.issue(profile))
    root_signer = Signer.find(authority.vault, KeyPurpose.CA_ROOT, authority.ca.root)
    dates = {"this_update": TODAY, "next_update": TODAY + timedelta(days=1)}
    lists = [build_crl(signer, number=1, entries=[], **dates) for signer in (authority.ca.signer, root_signer)]
    crls = [argument for n, crl in enumerate(lists) for argument in ("-CRLfile", pem(tmp_path / f"crl{n}", crl))]
    verified = openssl(
        "verify", "-x509_strict", "-crl_check_all", "-explicit_policy", "-policy",
        f"{CONFIG.policy_arc}.{authority.ca.profiles[profile].policy}",
        "-CAfile", root, "-untrusted", issuing, *crls, certificate,
    )  # fmt: skip
    assert (verified.returncode, verified.stderr) == (0, "")
    found = lint_certificate(certificate).splitlines()
    if authority.ca.profiles[profile].alternative:
        # FIPS 201-3 wants the UUID as a URN (RFC 9562, 4); the linter takes a URI without an authority for none.
        assert [line.split(" @ ")[0] for line in found if " @ " in line] == ["GeneralNameUriSyntaxValidator"]
        assert [line.strip() for line in found if CARD_NAMES.uuid.urn in line] == [
            f'pkix.invalid_uri_syntax (ERROR): Invalid URI syntax: "{CARD_NAMES.uuid.urn}"'
        ]
    else:
        assert found == []
    assert lint_chain(issuing, certificate) == ""


def test_the_authorities_are_clean_too(authority: Authority, tmp_path: Path) -> None:
    root, issuing = pem(tmp_path / "root", authority.ca.root), pem(tmp_path / "issuing", authority.ca.issuing)
    assert lint_certificate(root) == lint_certificate(issuing) == lint_chain(root, issuing) == ""
    verified = openssl("verify", "-x509_strict", "-CAfile", root, issuing)
    assert verified.returncode == 0, verified.stderr


def test_the_hierarchy_is_p384_over_p256_and_the_issuer_may_have_none_below(authority: Authority) -> None:
    root = x509.load_der_x509_certificate(authority.ca.root)
    issuing = x509.load_der_x509_certificate(authority.ca.issuing)
    keys = [certificate.public_key() for certificate in (root, issuing)]
    assert [key.curve.name for key in keys if isinstance(key, ec.EllipticCurvePublicKey)] == ["secp384r1", "secp256r1"]
    assert issuing.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    permitted = issuing.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
    assert permitted is not None
    assert permitted[0].value.rfc4514_string() == "O=Единая карта,C=RU"


def test_a_subject_of_another_organisation_fails_strict_verification(authority: Authority, tmp_path: Path) -> None:
    stranger = replace(authority.request().subject, organization="Somebody else")
    certificate = pem(tmp_path / "certificate", authority.issue(subject=stranger))
    verified = openssl(
        "verify", "-CAfile", pem(tmp_path / "root", authority.ca.root),
        "-untrusted", pem(tmp_path / "issuing", authority.ca.issuing), certificate,
    )  # fmt: skip
    assert verified.returncode == 2
    assert "permitted subtree violation" in verified.stderr


def test_the_card_certificate_names_the_card_and_not_the_holder(authority: Authority) -> None:
    subject = x509.load_der_x509_certificate(authority.issue("card-authentication")).subject
    assert subject.rfc4514_string() == "2.5.4.5=9643000000000017,O=Единая карта,C=RU"


def test_a_piv_cards_certificates_are_those_of_fips_201(authority: Authority, tmp_path: Path) -> None:
    """As OpenSSL reads them: the other names of the card; of the key that answers anybody one sole, critical use."""
    certificate = pem(tmp_path / "card", authority.issue("piv-card-authentication"))
    text = openssl("x509", "-noout", "-ext", "extendedKeyUsage,subjectAltName", "-in", certificate).stdout
    assert text.startswith("X509v3 Extended Key Usage: critical")
    assert f"URI:urn:uuid:{CARD_NAMES.uuid}" in text and "othername:" in text.replace(" ", "").lower()
    for profile in ("piv-card-authentication", "piv-authentication"):
        names = (
            x509.load_der_x509_certificate(authority.issue(profile))
            .extensions.get_extension_for_class(x509.SubjectAlternativeName)
            .value
        )
        (fasc_n,) = names.get_values_for_type(x509.OtherName)
        assert fasc_n.type_id.dotted_string == "2.16.840.1.101.3.6.6"
        assert fasc_n.value == b"\x04\x19" + CARD_NAMES.fasc_n
    with pytest.raises(RequestRefused, match="keys on PIV cards alone"):
        authority.issue("piv-authentication", card_names=None)


def test_the_signature_certificate_commits_and_signs_documents(authority: Authority) -> None:
    certificate = x509.load_der_x509_certificate(authority.issue("signature"))
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.content_commitment
    assert not usage.digital_signature
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [oid.dotted_string for oid in extended] == ["1.3.6.1.5.5.7.3.36"]


def test_the_ocsp_signer_is_one(authority: Authority) -> None:
    certificate = x509.load_der_x509_certificate(authority.issue("ocsp"))
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert certificate.extensions.get_extension_for_class(x509.OCSPNoCheck)


def test_the_same_request_gives_the_same_bytes_and_digest(authority: Authority) -> None:
    request = authority.request()
    first, second = authority.ca.prepare(request), authority.ca.prepare(replace(request))
    assert first == second
    assert (len(first.digest), len(first.public_key_digest), len(first.serial_hex)) == (64, 64, 32)
    later = authority.ca.prepare(replace(request, not_before=request.not_before + timedelta(microseconds=7)))
    assert later.digest == first.digest
    other = authority.ca.prepare(replace(request, serial=request.serial + 1))
    assert other.digest != first.digest
    assert other.public_key_digest == first.public_key_digest


def test_a_batch_comes_back_in_order_and_each_is_what_was_prepared(authority: Authority) -> None:
    prepared = [authority.ca.prepare(authority.request(profile)) for profile in PROFILES * 3]
    issuer = x509.load_der_x509_certificate(authority.ca.issuing)
    for tbs, certificate in zip(prepared, authority.ca.sign(prepared, now=TODAY), strict=True):
        parsed = x509.load_der_x509_certificate(certificate)
        parsed.verify_directly_issued_by(issuer)
        assert parsed.tbs_certificate_bytes == tbs.tbs_der
    assert authority.ca.sign([], now=TODAY) == []


def test_serials_are_128_bits_and_never_zero(authority: Authority) -> None:
    answers = [bytes(16), b"\x80" + bytes(15)]
    assert new_serial(lambda size: answers.pop(0) if size == 16 else b"") == 1 << 127
    assert len({new_serial(authority.vault.random) for _ in range(50)}) == 50
    certificate = x509.load_der_x509_certificate(authority.issue(serial=1 << 127))
    assert certificate.serial_number == 1 << 127


@pytest.mark.parametrize("serial", [0, -5, 1 << 160])
def test_an_impossible_serial_is_refused(authority: Authority, serial: int) -> None:
    with pytest.raises(RequestRefused):
        authority.ca.prepare(authority.request(serial=serial))


def test_a_certificate_beyond_2049_has_its_date_right(pki_vault: FileVault) -> None:
    config = replace(CONFIG, root_days=12000, issuing_days=11000)
    ca = make_authority(pki_vault, config, start=datetime(2048, 1, 1, tzinfo=UTC)).ca
    root = x509.load_der_x509_certificate(ca.root)
    assert root.not_valid_before_utc == datetime(2048, 1, 1, tzinfo=UTC)
    assert root.not_valid_after_utc == datetime(2048, 1, 1, tzinfo=UTC) + timedelta(days=12000)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"not_after": TODAY + timedelta(days=2000)}, "up to 1830 days"),
        ({"not_after": TODAY - timedelta(hours=1)}, "up to 1830 days"),
        ({"card_expires": TODAY + timedelta(days=59)}, "outlive the card"),
        ({"not_before": TODAY - timedelta(days=2)}, "issuing certificate is valid"),
        ({"profile": "passport"}, "choose of authentication"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(authority: Authority, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        authority.ca.prepare(authority.request(**changes))  # type: ignore[arg-type]
    assert reason in str(caught.value)


def test_no_certificate_outlives_its_issuer(pki_vault: FileVault) -> None:
    short = make_authority(pki_vault, replace(CONFIG, issuing_days=1100))
    with pytest.raises(RequestRefused) as caught:
        short.ca.prepare(short.request(not_after=TODAY + timedelta(days=1101)))
    assert "issuing certificate" in str(caught.value)


def test_an_expired_or_future_issuer_signs_nothing(authority: Authority) -> None:
    prepared = [authority.ca.prepare(authority.request())]
    ref = authority.ca.signer.ref
    before = [info.uses for info in authority.vault.describe(ref.purpose)]
    for now in (TODAY + timedelta(days=5000), TODAY - timedelta(days=2)):
        with pytest.raises(IssuerExpired) as caught:
            authority.ca.sign(prepared, now=now)
        assert "check the clock" in str(caught.value)
    assert [info.uses for info in authority.vault.describe(ref.purpose)] == before


def test_hygiene_is_part_of_preparing(authority: Authority) -> None:
    with pytest.raises(UnfitKey) as caught:
        authority.ca.prepare(authority.request(public_key=fresh_public_key(ec.SECP521R1())))
    assert caught.value.finding == "foreign-curve"


def test_an_authority_without_its_key_in_the_vault_is_refused(authority: Authority, tmp_path: Path) -> None:
    with make_vault(tmp_path / "other") as other, pytest.raises(BadSettings) as caught:
        CertificateAuthority(other, root=authority.ca.root, issuing=authority.ca.issuing, config=CONFIG)
    assert "another vault's certificate" in str(caught.value)


def test_an_rsa_issuer_by_setting(tmp_path: Path) -> None:
    with make_vault(tmp_path / "vault") as vault:
        for purpose in (KeyPurpose.CA_ROOT, KeyPurpose.CA_ISSUING):
            vault.generate(purpose, KeyAlgorithm.RSA_2048, now=NOW)
        rsa_authority = make_authority(vault)
        certificate = pem(tmp_path / "certificate", rsa_authority.issue())
        root, issuing = (
            pem(tmp_path / "root", rsa_authority.ca.root),
            pem(tmp_path / "issuing", rsa_authority.ca.issuing),
        )
        verified = openssl("verify", "-x509_strict", "-CAfile", root, "-untrusted", issuing, certificate)
        assert verified.returncode == 0, verified.stderr
        assert lint_certificate(certificate) == lint_chain(issuing, certificate) == ""


def test_an_old_issuing_key_still_serves_its_own_certificates(tmp_path: Path) -> None:
    with make_vault(tmp_path / "vault") as vault:
        old = make_authority(vault)
        vault.generate(KeyPurpose.CA_ISSUING, KeyAlgorithm.EC_P256, now=NOW)
        again = CertificateAuthority(vault, root=old.ca.root, issuing=old.ca.issuing, config=CONFIG)
        assert again.signer.ref.version == 1
        assert build_crl(again.signer, number=2, this_update=TODAY, next_update=TODAY + timedelta(days=1), entries=[])


def test_a_new_issuing_key_is_certified_before_it_works(tmp_path: Path) -> None:
    with make_vault(tmp_path / "vault") as vault:
        old = make_authority(vault)
        ahead = vault.generate_ahead(KeyPurpose.CA_ISSUING, KeyAlgorithm.EC_P256, now=NOW)
        assert vault.public_key(ahead) != vault.public_key(old.ca.signer.ref)
        assert vault.active(KeyPurpose.CA_ISSUING) == old.ca.signer.ref
        vault.move(ahead, KeyEvent.ACTIVATE)
        new = make_authority(vault)
        assert (new.ca.signer.ref, old.ca.signer.ref.version) == (ahead, 1)
        assert old.issue()


def test_parts_send_certificates_to_their_own_list(authority: Authority, tmp_path: Path) -> None:
    urls = {}
    for part in (None, 0, 7, 123):
        encoded = authority.issue(crl_part=part)
        points = x509.load_der_x509_certificate(encoded).extensions.get_extension_for_class(x509.CRLDistributionPoints)
        names = points.value[0].full_name
        assert names is not None
        urls[part] = names[0].value
        assert lint_certificate(pem(tmp_path / f"{part}", encoded)) == ""
    assert urls == {part: CONFIG.crl_url(part) for part in urls}
