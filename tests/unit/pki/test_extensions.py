"""Extensions by our own DER beside those of `cryptography`: the same bytes, whatever they say."""

from itertools import combinations

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from issuance.pki import der
from issuance.pki import extensions as ext
from issuance.pki.profiles import KEY_USAGES

IDENTIFIER = bytes(range(20))
URL = "http://127.0.0.1:8080/pki/crl/issuing.crl"
OTHER = "http://127.0.0.1:8080/ocsp"
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "RU")])
LIBRARY_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign",
)  # fmt: skip
DOTTED = st.tuples(
    st.just(1), st.integers(0, 39), st.lists(st.integers(0, 2**40), min_size=1, max_size=6)
).map(lambda arcs: ".".join(map(str, (arcs[0], arcs[1], *arcs[2]))))  # fmt: skip


def expected(extension: x509.ExtensionType, *, critical: bool = False) -> bytes:
    """`Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue OCTET STRING }` (RFC 5280, 4.1)."""
    marks = [b"\x01\x01\xff"] if critical else []
    return der.sequence(der.oid(extension.oid.dotted_string), *marks, der.octets(extension.public_bytes()))


def point_at(url: str) -> x509.DistributionPoint:
    return x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)


def test_key_usage_in_every_combination() -> None:
    """All 127; encipher_only and decipher_only are never set."""
    assert tuple(KEY_USAGES) == LIBRARY_USAGES
    for size in range(1, len(KEY_USAGES) + 1):
        for names in combinations(KEY_USAGES, size):
            flags = [name in names for name in KEY_USAGES]
            usage = x509.KeyUsage(*flags, encipher_only=False, decipher_only=False)
            assert ext.key_usage(names) == ext.key_usage(names[::-1]) == expected(usage, critical=True), names


@pytest.mark.parametrize("path_length", [None, 0, 1, 127, 128, 255, 256])
def test_authority_constraints(path_length: int | None) -> None:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    assert ext.authority_constraints(path_length) == expected(constraints, critical=True)


def test_key_identifiers() -> None:
    assert ext.key_identifier(bytes(range(32))) == IDENTIFIER
    assert ext.subject_key_identifier(IDENTIFIER) == expected(x509.SubjectKeyIdentifier(IDENTIFIER))
    authority = x509.AuthorityKeyIdentifier(IDENTIFIER, None, None)
    assert ext.authority_key_identifier(IDENTIFIER) == expected(authority)


@given(st.lists(DOTTED, min_size=1, max_size=4, unique=True))
def test_purposes_and_policies(oids: list[str]) -> None:
    identifiers = [ObjectIdentifier(one) for one in oids]
    assert ext.extended_key_usage(oids) == expected(x509.ExtendedKeyUsage(identifiers))
    policies = x509.CertificatePolicies([x509.PolicyInformation(one, None) for one in identifiers])
    assert ext.policies(oids) == expected(policies)


def test_where_lists_and_answers_are() -> None:
    assert ext.distribution_points(URL) == expected(x509.CRLDistributionPoints([point_at(URL)]))
    assert ext.freshest_list(URL) == expected(x509.FreshestCRL([point_at(URL)]))
    part = x509.IssuingDistributionPoint(
        [x509.UniformResourceIdentifier(URL)],
        None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    assert ext.issuing_distribution_point(URL) == expected(part, critical=True)


@pytest.mark.parametrize("answers", [None, OTHER])
def test_where_the_issuer_is_found(answers: str | None) -> None:
    places = [(AuthorityInformationAccessOID.CA_ISSUERS, URL)]
    if answers is not None:
        places.insert(0, (AuthorityInformationAccessOID.OCSP, answers))
    described = [x509.AccessDescription(how, x509.UniformResourceIdentifier(where)) for how, where in places]
    assert ext.information_access(URL, answers) == expected(x509.AuthorityInformationAccess(described))


def test_names_below_an_authority() -> None:
    allowed = x509.NameConstraints(permitted_subtrees=[x509.DirectoryName(NAME)], excluded_subtrees=None)
    assert ext.permitted_names(NAME.public_bytes()) == expected(allowed, critical=True)


def test_a_responder_that_is_not_asked_about() -> None:
    assert ext.no_check() == expected(x509.OCSPNoCheck())
