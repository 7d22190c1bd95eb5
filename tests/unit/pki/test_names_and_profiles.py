"""Names in certificates, profiles as data, and the authority's settings."""

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from issuance.errors import BadSettings, RequestRefused
from issuance.keys.port import KeyAlgorithm
from issuance.pki.config import CaConfig
from issuance.pki.names import Subject, encode_name, encode_subject, fit_common_name
from issuance.pki.profiles import parse_profiles, shipped_profiles

PROFILES = shipped_profiles()
SUBJECT = Subject("Иванова Мария", "9643000000000017", "Иванова", "Мария", "Единая карта", "RU")
GOOD = """
[station]
subject = ["country", "common_name", "surname?"]
key_usage = ["digital_signature"]
extended = ["client_auth", "1.2.3.4"]
policy = 6
max_days = 730
keys = ["ec-p256"]
"""


def _fits(text: str) -> bool:
    # The library counts bytes where RFC 5280 counts characters.
    return text.strip() == text and text.isprintable() and len(text.encode()) <= 64


@given(st.lists(st.from_regex("[А-Я][а-яё-]{0,70}", fullmatch=True), min_size=1, max_size=3))
def test_a_common_name_is_cut_to_what_every_reader_takes(names: list[str]) -> None:
    fitted = fit_common_name(*names)
    assert 0 < len(fitted.encode()) <= 64
    assert names[0].startswith(fitted) or fitted.startswith(names[0])
    assert encode_name(common_name=fitted)


def test_a_common_name_keeps_as_much_as_fits() -> None:
    assert fit_common_name("Иванова", "Мария", "") == "Иванова Мария"
    assert fit_common_name("Иванова", "Мария", "Петровна") == "Иванова Мария Петровна"
    assert fit_common_name("Константинопольская", "Александра", "Всеволодовна") == "Константинопольская А. В."
    assert fit_common_name("А" * 40, "Б") == "А" * 32


def test_a_name_is_what_the_library_writes() -> None:
    expected = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "RU"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Единая карта"),
            x509.NameAttribute(x509.NameOID.SURNAME, "Иванова"),
            x509.NameAttribute(x509.NameOID.GIVEN_NAME, "Мария"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "Иванова Мария"),
            x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, "9643000000000017"),
        ]
    )
    assert encode_subject(SUBJECT, PROFILES["authentication"]) == expected.public_bytes()


def test_optional_attributes_may_be_missing_and_others_may_not() -> None:
    bare = Subject(common_name="A", serial_number="1", organization="O", country="RU")
    assert encode_subject(bare, PROFILES["authentication"])
    with pytest.raises(RequestRefused) as caught:
        encode_subject(Subject(common_name="A", organization="O", country="RU"), PROFILES["authentication"])
    assert "serial number" in str(caught.value)
    assert caught.value.profile == "authentication"


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("common_name", "A" * 65),
        ("organization", "Б" * 65),
        ("serial_number", "номер"),
        ("serial_number", "1*2"),
        ("country", "ru"),
        ("country", "RUS"),
        ("country", "Я!"),
        ("common_name", "line\nbreak"),
        ("common_name", "nul\x00"),
        ("common_name", " space before"),
        ("common_name", "right\u202eleft"),
    ],
)
def test_impossible_values_are_refused(attribute: str, value: str) -> None:
    with pytest.raises(RequestRefused):
        encode_name(**{attribute: value})


@given(st.text(min_size=1, max_size=64).filter(_fits))
def test_any_printable_common_name_is_what_the_library_writes(value: str) -> None:
    expected = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, value)])
    assert encode_name(common_name=value) == expected.public_bytes()


def test_a_subject_prints_in_one_line() -> None:
    assert SUBJECT.text() == (
        "C=RU, O=Единая карта, SN=Иванова, GN=Мария, CN=Иванова Мария, serialNumber=9643000000000017"
    )
    assert Subject(country="RU").text() == "C=RU"


def test_profiles_read_from_toml() -> None:
    profile = parse_profiles(GOOD)["station"]
    assert profile.subject == ("country", "common_name", "surname")
    assert profile.optional == {"surname"}
    assert profile.extended == ("1.3.6.1.5.5.7.3.2", "1.2.3.4")
    assert profile.keys == {KeyAlgorithm.EC_P256}
    assert not profile.no_check


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("policy = 6", "polici = 6", "polici"),
        ("max_days = 730", "", "max_days"),
        ('"surname?"', '"nickname"', "nickname"),
        ("digital_signature", "sign", "sign"),
        ("client_auth", "clientAuth", "clientAuth"),
        ("ec-p256", "ec-p257", "ec-p257"),
        ("policy = 6", "policy = ", "TOML"),
    ],
)
def test_a_mistake_in_a_profile_is_named(old: str, new: str, named: str) -> None:
    with pytest.raises(BadSettings) as caught:
        parse_profiles(GOOD.replace(old, new))
    assert named in str(caught.value)


def test_the_shipped_profiles_are_those_the_house_uses() -> None:
    assert set(PROFILES) == {
        "authentication", "signature", "key-agreement", "card-authentication", "document-signer", "station", "staff",
        "ocsp", "piv-authentication", "piv-card-authentication",
    }  # fmt: skip
    policies = [profile.policy for name, profile in PROFILES.items() if not name.startswith("piv-")]
    for name in ("authentication", "card-authentication"):  # a PIV card's say the same thing of the same kind of key
        assert PROFILES[f"piv-{name}"].policy == PROFILES[name].policy
    assert len(set(policies)) == len(policies)
    assert all(profile.max_days <= 5 * 366 for name, profile in PROFILES.items() if name != "document-signer")
    assert [name for name, profile in PROFILES.items() if profile.no_check] == ["ocsp"]


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "https://example.org"},
        {"base_url": "http://example.org/"},
        {"policy_arc": "2.25.278193216520459178127450326931520345637"},
        {"policy_arc": "one.two"},
        {"issuing_days": 9000},
        {"issuing_days": 0},
        {"crl_part_entries": -1},
        {"ocsp_address": "https://example.org/ocsp"},
        {"root_common_name": "UEC Issuing CA"},
    ],
    ids=str,
)
def test_settings_that_contradict_themselves_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadSettings):
        CaConfig(organization="O", **changes)  # type: ignore[arg-type]


def test_addresses_are_built_from_the_base() -> None:
    config = CaConfig(organization="O", base_url="http://pki.example")
    assert config.crl_url() == "http://pki.example/pki/crl/issuing.crl"
    assert config.crl_url(7) == "http://pki.example/pki/crl/issuing-7.crl"
    assert config.ocsp_url is None
    assert config.delta_url() == "http://pki.example/pki/crl/issuing-delta.crl"
    assert config.delta_url(7) == "http://pki.example/pki/crl/issuing-7-delta.crl"
    assert CaConfig(organization="O", ocsp=True).ocsp_url == "http://127.0.0.1:8080/pki/ocsp"
    elsewhere = CaConfig(organization="O", ocsp=True, ocsp_address="http://ocsp.example")
    assert elsewhere.ocsp_url == "http://ocsp.example"


@pytest.mark.parametrize("size", [1, 59, 60, 61, 118, 119, 120, 127, 128])
def test_names_of_every_length_are_what_the_library_writes(size: int) -> None:
    # Lengths of one and of two bytes, of the value and of what is around it.
    expected = x509.Name([x509.NameAttribute(x509.NameOID.SURNAME, "a" * size)])
    assert encode_name(surname="a" * size) == expected.public_bytes()
