"""Certificate extensions as DER (RFC 5280 section 4.2), each a finished `Extension` element."""

from collections.abc import Sequence

from issuance.pki import der
from issuance.pki.names import CardNames
from issuance.pki.profiles import KEY_USAGES

SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
KEY_USAGE = "2.5.29.15"
SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"
BASIC_CONSTRAINTS = "2.5.29.19"
CRL_NUMBER = "2.5.29.20"
DELTA_CRL_INDICATOR = "2.5.29.27"
ISSUING_DISTRIBUTION_POINT = "2.5.29.28"
NAME_CONSTRAINTS = "2.5.29.30"
CRL_DISTRIBUTION_POINTS = "2.5.29.31"
FRESHEST_CRL = "2.5.29.46"
CERTIFICATE_POLICIES = "2.5.29.32"
AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
EXTENDED_KEY_USAGE = "2.5.29.37"
AUTHORITY_INFORMATION_ACCESS = "1.3.6.1.5.5.7.1.1"
OCSP_NO_CHECK = "1.3.6.1.5.5.7.48.1.5"
ANY_POLICY = "2.5.29.32.0"
PIV_FASC_N = "2.16.840.1.101.3.6.6"
_CA_ISSUERS, _OCSP = "1.3.6.1.5.5.7.48.2", "1.3.6.1.5.5.7.48.1"
_TRUE = der.tlv(der.BOOLEAN, b"\xff")
_URI, _DIRECTORY_NAME = der.CONTEXT | 6, 4


def plain(oid: str, value: bytes) -> bytes:
    """A non-critical extension."""
    return der.sequence(der.oid(oid), der.octets(value))


def critical(oid: str, value: bytes) -> bytes:
    """A critical extension."""
    return der.sequence(der.oid(oid), _TRUE, der.octets(value))


def key_identifier(key_digest: bytes) -> bytes:
    """The key's identifier, 20 bytes of the SHA-256 over its SubjectPublicKeyInfo (RFC 7093 section 2, method 4).

    That digest is known of every key before it is certified: it was looked up among all keys that ever were.
    """
    return key_digest[:20]


def subject_key_identifier(identifier: bytes) -> bytes:
    """Which key this certificate is for."""
    return plain(SUBJECT_KEY_IDENTIFIER, der.octets(identifier))


def authority_key_identifier(identifier: bytes) -> bytes:
    """Which key signed."""
    return plain(AUTHORITY_KEY_IDENTIFIER, der.sequence(der.tlv(der.CONTEXT, identifier)))


def key_usage(names: Sequence[str]) -> bytes:
    """What the key may do. DER cuts the bit string after its last set bit."""
    numbers = [KEY_USAGES[name] for name in names]
    value = sum(0x80 >> number for number in numbers)
    return critical(KEY_USAGE, der.tlv(der.BIT_STRING, bytes((7 - max(numbers), value))))


def extended_key_usage(oids: Sequence[str]) -> bytes:
    """For which protocols."""
    return plain(EXTENDED_KEY_USAGE, _usages(oids))


def sole_usage(oids: Sequence[str]) -> bytes:
    """The same, and for nothing else: critical."""
    return critical(EXTENDED_KEY_USAGE, _usages(oids))


def _usages(oids: Sequence[str]) -> bytes:
    return der.sequence(*(der.oid(oid) for oid in oids))


def card_names(names: CardNames, wanted: Sequence[str]) -> bytes:
    """The card's FASC-N (FIPS 201, id 2.16.840.1.101.3.6.6) and its UUID as a URN (RFC 9562, 4), those of them wanted.

    They have one length on every card.
    """
    encoded = {
        "fasc_n": der.explicit(0, der.oid(PIV_FASC_N) + der.explicit(0, der.octets(names.fasc_n))),
        "uuid": _uri(names.uuid.urn),
    }
    return plain(SUBJECT_ALTERNATIVE_NAME, der.sequence(*(encoded[name] for name in wanted)))


def authority_constraints(path_length: int | None) -> bytes:
    """Basic constraints of an authority. An end entity's certificate carries none: DER would leave it empty."""
    limit = b"" if path_length is None else der.integer(path_length)
    return critical(BASIC_CONSTRAINTS, der.sequence(_TRUE, limit))


def policies(oids: Sequence[str]) -> bytes:
    """Under which policies the certificate was issued."""
    return plain(CERTIFICATE_POLICIES, der.sequence(*(der.sequence(der.oid(oid)) for oid in oids)))


def permitted_names(directory_name: bytes) -> bytes:
    """The name that every subject below an authority begins with."""
    subtree = der.sequence(der.explicit(_DIRECTORY_NAME, directory_name))
    return critical(NAME_CONSTRAINTS, der.sequence(der.explicit(0, subtree)))


def information_access(issuers_url: str, ocsp_url: str | None) -> bytes:
    """Where the issuer's certificate lies, and where its certificates' states are answered."""
    places = [] if ocsp_url is None else [(_OCSP, ocsp_url)]
    places.append((_CA_ISSUERS, issuers_url))
    value = der.sequence(*(der.sequence(der.oid(method), _uri(url)) for method, url in places))
    return plain(AUTHORITY_INFORMATION_ACCESS, value)


def distribution_points(url: str) -> bytes:
    """Where the list lies that would name this certificate."""
    return plain(CRL_DISTRIBUTION_POINTS, der.sequence(der.sequence(der.explicit(0, _full_name(url)))))


def freshest_list(url: str) -> bytes:
    """Where the changes since this list lie (section 5.2.6)."""
    return plain(FRESHEST_CRL, der.sequence(der.sequence(der.explicit(0, _full_name(url)))))


def issuing_distribution_point(url: str) -> bytes:
    """Which part of the certificates a list is about: those that point at this address."""
    return critical(ISSUING_DISTRIBUTION_POINT, der.sequence(der.explicit(0, _full_name(url))))


def no_check() -> bytes:
    """This responder's own state is not asked for."""
    return plain(OCSP_NO_CHECK, der.tlv(der.NULL, b""))


def _full_name(url: str) -> bytes:
    return der.explicit(0, _uri(url))


def _uri(url: str) -> bytes:
    return der.tlv(_URI, url.encode("ascii"))
