"""Recognising a chip from what it answers, and the commands that a profile becomes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io import globalplatform as gp
from card_io import tlv
from card_io.applets.uec import layout
from card_io.applets.uec import personalisation as perso
from card_io.secret import Secret
from issuance.production import writing
from issuance.production.bundle import Answers, Send
from issuance.production.chip import Chip, recognise
from issuance.production.errors import CardLost, ForeignCard
from issuance.production.profile import load_profile
from issuance.production.relay import play
from tests.support.line import UEC_PROFILE, blank_card, slot_of

PROFILE = load_profile(UEC_PROFILE)
CHALLENGE = bytes(range(8))
BLOCK = 239


def looked_at(change: "dict[int, str] | None" = None) -> Chip:
    """What `recognise` makes of a blank whose n-th answer is replaced."""
    talk = recognise(PROFILE, CHALLENGE)
    bundle = next(talk)
    assert isinstance(bundle, Send) and bundle.fresh
    answers = list(play(slot_of(blank_card(1)), bundle).responses)
    for number, answer in (change or {}).items():
        answers[number] = bytes.fromhex(answer)
    with pytest.raises(StopIteration) as stopped:
        talk.send(Answers(tuple(answers), complete=True))
    chip: Chip = stopped.value.value
    return chip


def test_a_blank_is_recognised() -> None:
    chip = looked_at()
    cplc = gp.parse_cplc(blank_card(1).platform.area.octets("cplc") or b"")
    assert chip.chip_id == cplc.chip_id.hex() and len(chip.chip_id) == 20
    assert (chip.kvn, chip.life_cycle, chip.finished) == (0xFF, None, False)
    assert chip.host_challenge == CHALLENGE


def test_two_chips_have_two_names() -> None:
    other = blank_card(2).platform.area.octets("cplc") or b""
    assert looked_at().chip_id != gp.parse_cplc(other).chip_id.hex()


@pytest.mark.parametrize(
    ("state", "life_cycle", "finished"),
    [("01000F9000", 0x0F, True), ("0100079000", 0x07, False), ("01008F9000", 0x8F, True), ("6A88", None, False)],
)
def test_the_applets_state_is_read(state: str, life_cycle: int | None, finished: bool) -> None:
    chip = looked_at({2: "9000", 3: state})
    assert (chip.life_cycle, chip.finished) == (life_cycle, finished)


def test_a_state_that_someone_else_answers_does_not_count() -> None:
    """The applet is not there, so GET DATA went to the security domain."""
    assert looked_at({2: "6A82", 3: "01000F9000"}).life_cycle is None


@pytest.mark.parametrize(
    "change",
    [
        {0: "6A82"},
        {1: "6A88"},
        {1: "9F7F03AABBCC9000"},
        {1: "9000"},
        {2: "6400"},
        {5: "6982"},
        {5: "9000"},
        {5: "00" * 10 + "0102" + "00" * 16 + "9000"},
    ],
)
def test_what_is_no_chip_for_this_profile_is_foreign(change: dict[int, str]) -> None:
    with pytest.raises(ForeignCard, match="put another card in"):
        looked_at(change)


def test_a_card_that_goes_is_lost_and_not_foreign() -> None:
    talk = recognise(PROFILE, CHALLENGE)
    next(talk)
    with pytest.raises(CardLost):
        talk.send(Answers((), complete=False))


@given(st.integers(0, 3000), st.integers(223, BLOCK))
def test_a_file_is_created_once_and_filled_from_end_to_end(size: int, block_bytes: int) -> None:
    content = bytes(index % 251 for index in range(size))
    file = writing.File(layout.Fid.UEC, 0x0107, content, layout.Rule.PIN1)
    created, *filled = writing.file_groupings([file], block_bytes)
    ((identifier, head),) = tlv.parse_dgis(created)
    assert identifier == perso.DGI_CREATE_FILE
    assert head == bytes.fromhex("55000107") + b"\x01" + size.to_bytes(2, "big") + b"\x01\xff"
    written = b""
    for grouping in filled:
        assert len(grouping) <= block_bytes
        ((identifier, data),) = tlv.parse_dgis(grouping)
        assert identifier == perso.DGI_WRITE_FILE and data[:2] == b"\x01\x07"
        assert int.from_bytes(data[2:4], "big") == len(written)
        written += data[4:]
    assert written == content


def test_directories_come_before_what_is_in_them() -> None:
    files = writing.data_files(PROFILE, {1: b"a", 3: b"c"})
    assert [file.fid for file in files] == [layout.Fid.CIA, layout.Fid.UEC, 0x0101, 0x0103]
    assert [file.directory for file in files] == [True, True, False, False]
    assert [file.read for file in files] == [0, 0, layout.Rule.ALWAYS, layout.Rule.PIN1]


@given(st.lists(st.integers(1, 230), max_size=700))
def test_sessions_number_their_blocks_and_end_with_the_last(sizes: list[int]) -> None:
    groupings = [tlv.encode_dgi(0x0E02, bytes(size)) for size in sizes]
    challenges = {key.name: bytes([key.reference] * 32) for key in PROFILE.keys}
    asked = writing.make_keys(PROFILE, PROFILE.keys) + writing.prove_keys(PROFILE, challenges)
    writes = writing.sessions(PROFILE, groupings, block_bytes=BLOCK, label="write_data", asked=asked)
    number = -1
    for index, item in enumerate(writes):
        command = item.command
        if command.ins == 0xE6:
            assert index == 0 or writes[index - 1].command.p1 & perso.P1_LAST
            number = -1
            continue
        number += 1
        assert command.ins == 0xE2 and command.p2 == number <= 0xFF
        last = index == len(writes) - 1 or writes[index + 1].command.ins == 0xE6
        assert bool(command.p1 & perso.P1_LAST) is last
        assert (command.le is not None) is bool(item.key or item.proves)
    stored = b"".join(item.command.data for item in writes if item.command.ins == 0xE2 and item.label != "make_keys")
    assert stored == b"".join(groupings)
    assert [item.key for item in writes if item.key] == [key.name for key in PROFILE.keys]
    assert [item.proves for item in writes if item.proves] == [key.name for key in PROFILE.keys]


def test_keys_are_made_for_one_use_under_one_pin() -> None:
    asked = writing.make_keys(PROFILE, PROFILE.keys)
    writes = writing.sessions(PROFILE, [], block_bytes=BLOCK, label="write_data", asked=asked)
    made = [tlv.parse_dgis(item.command.data)[0] for item in writes if item.key]
    assert made == [
        (0x0E03, bytes([1, 1, 1, 1])),
        (0x0E03, bytes([2, 1, 2, 1])),
        (0x0E03, bytes([3, 1, 1, 4])),
        (0x0E03, bytes([4, 1, 0, 2])),
    ]


def test_a_key_proves_its_own_challenge() -> None:
    challenges = {"signature": bytes(range(32)), "authentication": bytes(32)}
    writes = writing.sessions(
        PROFILE, [], block_bytes=BLOCK, label="write_data", asked=writing.prove_keys(PROFILE, challenges)
    )
    sent = {item.proves: tlv.parse_dgis(item.command.data)[0] for item in writes if item.proves}
    assert sent == {
        slot: (0x0E06, bytes([PROFILE.key(slot).reference]) + challenge) for slot, challenge in challenges.items()
    }


def test_pins_carry_the_profiles_rules() -> None:
    values = {"pin1": Secret(b"11112222"), "pin2": Secret(b"33334444"), "krp": Secret(b"55556666")}
    set_up = [tlv.parse_dgis(grouping)[0][1] for grouping in writing.pin_groupings(PROFILE, values)]
    assert set_up == [
        bytes([1, 3, 4, 8, 3, 0]) + b"11112222",
        bytes([2, 3, 6, 8, 3, 0]) + b"33334444",
        bytes([3, 10, 8, 8, 0, 0]) + b"55556666",
    ]


def test_the_instance_is_made_from_the_profiles_module() -> None:
    command = writing.install(PROFILE).command
    applet = PROFILE.applet
    fields = [applet.package_aid, applet.module_aid, applet.aid, layout.INSTALL_PRIVILEGES, layout.INSTALL_PARAMETERS]
    expected = b"".join(bytes([len(field)]) + field for field in fields) + b"\x00"
    assert (command.cla, command.ins, command.p1, command.data) == (0x80, 0xE6, 0x0C, expected)
