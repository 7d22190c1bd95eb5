"""Profiles: the shipped one agrees with the layout; what is misspelt or contradicts itself is refused by name."""

from pathlib import Path

import pytest

from card_io.applets.uec import layout
from issuance.production.errors import InvalidProfile
from issuance.production.profile import Access, KeyUse, load_profile

PROFILES = Path(__file__).parents[3] / "config" / "profiles"
UEC = PROFILES / "uec.toml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = UEC.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "uec.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_shipped_profile_agrees_with_the_layout() -> None:
    profile = load_profile(UEC)
    assert profile.applet.aid == layout.APPLET_AID
    assert profile.applet.package_aid == layout.PACKAGE_AID
    assert profile.applet.module_aid == layout.MODULE_AID
    for key in profile.keys:
        assert layout.CERTIFICATE_FILE[layout.KeySlot(key.reference)] == key.certificate_fid
    for group in profile.data_groups:
        place = layout.PLACES[layout.Fid(group.fid)]
        assert place.parent == layout.Fid.UEC
        assert group.read is (Access.PIN1 if place.read else Access.ALWAYS)
    assert {pin.name: pin.reference for pin in profile.pins} == {ref.name.lower(): int(ref) for ref in layout.PinRef}
    assert profile.security_object_fid == layout.Fid.SECURITY_OBJECT


def test_names_lead_to_entries() -> None:
    profile = load_profile(UEC)
    assert profile.pin("pin2").each_use
    assert profile.key("agreement").use is KeyUse.AGREE
    assert profile.card_key.name == "card"
    assert profile.group(3).name == "documents"
    with pytest.raises(KeyError):
        profile.key("nothing")


def test_the_sample_of_a_pass_makes_no_keys_and_says_which_card_it_is(tmp_path: Path) -> None:
    sample = PROFILES.with_name("samples") / "pass.toml"
    made = load_profile(sample)
    assert made.keys == () and made.applet == load_profile(UEC).applet
    with pytest.raises(LookupError):
        _ = made.card_key
    text, path = sample.read_text(encoding="utf-8"), tmp_path / "pass.toml"
    for old, new in (('name = "card_number"', 'name = "oms"'), ('read = "always"', 'read = "pin1"')):
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(InvalidProfile, match="card_number"):
            load_profile(path)


def test_a_card_of_kind_piv_has_keys(tmp_path: Path) -> None:
    text, path = (PROFILES / "piv.toml").read_text(encoding="utf-8"), tmp_path / "piv.toml"
    start, end = text.index("[[keys]]"), text.index("[[data_groups]]")
    text = "keys = []\n" + text[:start] + text[end:].replace('read = "pin1"', 'read = "always"')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidProfile, match="a card of kind piv has some"):
        load_profile(path)


def test_key_versions_run_through_their_range_and_start_again() -> None:
    channel = load_profile(UEC).secure_channel
    assert [channel.kvn(version) for version in (1, 2, 16, 17)] == [0x30, 0x31, 0x3F, 0x30]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("level = 0x33", "levle = 0x33", "secure_channel.levle", "did you mean level?"),
        ("level = 0x33", 'level = "33"', "secure_channel.level", "must be int"),
        ("level = 0x33", "level = true", "secure_channel.level", "must be int"),
        ("level = 0x33 ", "# ", "secure_channel.level", "is missing"),
        ("level = 0x33 ", "level = 0x01 # ", "secure_channel.level", "no security level"),
        ('isd_aid = "A000000151000000"', 'isd_aid = "A00"', "secure_channel.isd_aid", "hex"),
        ("blank_kvns = [0x01, 0xFF]", "blank_kvns = 1", "secure_channel.blank_kvns", "a list"),
        ("blank_kvns = [0x01, 0xFF]", "blank_kvns = [0x30]", "secure_channel.blank_kvns", "production"),
        ("last_kvn = 0x3F", "last_kvn = 0x80", "secure_channel", "0x7F"),
        ('kind = "uec"', 'kind = "other"', "applet.kind", "known"),
        ('name = "uec"', 'name = "other"', "name", "file's own name"),
        ('read = "always"', 'read = "sometimes"', "data_groups[card].read", "one of always"),
        ("number = 2", "number = 1", "data_groups", "share"),
        ("fid = 0x0102", "fid = 0x0101", "data_groups", "same identifier"),
        ("tag = 0x81", "tag = 0x80", "data_groups.card", "share a tag"),
        ('pin = "pin1"', 'pin = "pin7"', "keys.authentication.pin", "no PIN 'pin7'"),
        ('use = "internal-authenticate"', 'use = "sign"', "keys.card.pin", "no PIN"),
        ("transport_digits = 8", "transport_digits = 9", "pins.pin1", "lengths"),
        ("tries = 3", "tries = 0", "pins.pin1", "tries"),
        ('unblocked_by = "krp"', 'unblocked_by = "puk"', "pins.pin1", "not there"),
        ("security_object_fid = 0x011D", "security_object_fid = 0x5FC106", "security_object_fid", "identifier"),
        ("certificate_fid = 0x4501", "certificate_fid = 0x3F00", "keys.authentication.certificate_fid", "identifier"),
        ("fid = 0x0102", "fid = -1", "data_groups.person.fid", "identifier"),
        ("number = 2", "number = 17", "data_groups.person.number", "1 to 16"),
        ('kind = "digits"', 'kind = "digits"\nvalue = "1"', "data_groups.card.card_number.value", "text"),
        (
            'kind = "text"',
            'kind = "text"\nvalue = "АБ"\nmax_bytes = 3',
            "data_groups.card.printed_name.max_bytes",
            "less than",
        ),
        ('kind = "text"', 'kind = "text"\nmax_bytes = -1', "data_groups.card.printed_name.max_bytes", "less than"),
        ("tag = 0x62", "tag = 0x0102", "data_groups.person.person.tag", "BER-TLV"),
        ("reference = 4", "reference = 256", "keys.card.reference", "0xFF"),
        ("reference = 3", "reference = 0", "pins.krp.reference", "0x01"),
        ('unblocked_by = "krp"', 'unblocked_by = ""', "pins.pin1.unblocked_by", "torn hand-over"),
        ('after_hand_over = "printed"', "", "pins.krp.after_hand_over", "printed or split"),
        ('after_hand_over = "printed"', 'after_hand_over = "vault"', "pins[krp].after_hand_over", "printed, split"),
        ("timeout_s = 30", "timeout_s = 0", "pins.pin1.pad.timeout_s", "1 to 45"),
        ("timeout_s = 30", "timeout_s = 46", "pins.pin1.pad.timeout_s", "1 to 45"),
        ('language = "ru" }', 'language = "tt" }', "pins.pin1.pad.language", "ru, en"),
        (
            'after_hand_over = "printed"',
            'after_hand_over = "printed"\npad = {}',
            "pins.krp.pad",
            "what the holder chooses",
        ),
        ('after_hand_over = "printed"', "chosen_by_holder = true", "pins.krp.unblocked_by", "torn hand-over"),
        ("each_use = true", 'after_hand_over = "printed"', "pins", "one code at most"),
        (
            'certificate_profile = "signature"',
            'certificate_profile = "sign"',
            "keys.signature.certificate_profile",
            "none",
        ),
        ('aid = "F05545430001000101"', 'aid = "F055"', "applet.aid", "5 to 16 bytes"),
        ("level = 0x33 ", "challenge_bytes = 12\nlevel = 0x33 ", "secure_channel.challenge_bytes", "8, or 16"),
        ("level = 0x33 ", 'derivation = "kdf4"\nlevel = 0x33 ', "secure_channel.derivation", "kdf3"),
        ("blank_kvns = [0x01, 0xFF]", "blank_kvns = []", "secure_channel.blank_kvns", "no blank"),
        ("[token]", "[[token]]", "token", "must be a table"),
        ("[token]", "[token", "the file", ""),
    ],
)
def test_a_wrong_profile_is_refused_by_the_name_of_its_key(
    tmp_path: Path, old: str, new: str, place: str, words: str
) -> None:
    with pytest.raises(InvalidProfile) as caught:
        load_profile(changed(tmp_path, old, new))
    assert caught.value.place == place
    assert words in caught.value.reason
    assert "Correct the profile file" in str(caught.value)


NONSENSE = (
    "1",
    "0",
    "-1",
    "70000",
    "1099511627776",
    '"x"',
    '""',
    "[]",
    "true",
    '["a"]',
    "1.5",
    "{}",
    '"00"',
    "1979-05-27",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uec", "piv"])
def test_whatever_a_line_is_made_of_the_profile_loads_or_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """Every line of the shipped profiles left out, doubled, or given another value."""
    lines = (PROFILES / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    path, refused = tmp_path / f"{name}.toml", 0
    for number, line in enumerate(lines):
        head, equals, _ = line.partition("=")
        others = [[], [line, line], *([f"{head}= {value}"] for value in NONSENSE if equals)]
        for instead in others:
            path.write_text("\n".join([*lines[:number], *instead, *lines[number + 1 :]]), encoding="utf-8")
            try:
                load_profile(path)
            except InvalidProfile as error:
                refused += 1
                assert error.place and str(error).startswith(f"Card profile {name}: ")
                assert str(error).endswith("Correct the profile file and start again.")
    assert refused > 8 * len(lines)


def test_a_profile_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidProfile, match="the file"):
        load_profile(tmp_path / "none.toml")


def test_a_new_data_group_and_a_new_key_need_no_code(tmp_path: Path) -> None:
    path = tmp_path / "uec.toml"
    more = """
[[data_groups]]
number = 5
name = "benefits"
label = "Benefits"
fid = 0x0105
tag = 0x65
read = "pin1"

[[data_groups.fields]]
name = "benefit"
tag = 0x80
kind = "text"

[[keys]]
name = "transport"
label = "Transport"
reference = 5
algorithm = "ec-p256"
use = "sign"
pin = "pin1"
certificate_fid = 0x4505
certificate_profile = "authentication"
"""
    path.write_text(UEC.read_text(encoding="utf-8") + more, encoding="utf-8")
    profile = load_profile(path)
    assert profile.group(5).fields[0].name == "benefit"
    assert profile.key("transport").reference == 5
