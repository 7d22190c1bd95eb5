"""SCP02 in every option the card speaks, against the project's host and against recorded key facts."""

import pytest

from card_io import keyset, scp02
from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.globalplatform import des_key
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.keysets import TYPE_DES, KeySet
from card_io.virtual.primitives import check_value, des3_ecb_encrypt
from card_io.virtual.scp02 import session_key
from tests.unit.virtual.cards import KEYS, send

CHALLENGE = bytes(range(8))
FORTY = bytes(range(0x40, 0x50))
OPTIONS = (0x15, 0x35, 0x55, 0x75)


def des_card(i: int, keys: tuple[bytes, bytes, bytes] = KEYS) -> VirtualCard:
    card = VirtualCard.blank(
        b"des", initial_keys=KeySet(*(Secret(item) for item in keys), key_type=TYPE_DES), scp02_i=i
    )
    card.power_on()
    return card


class Host:
    """The project's host over a virtual card."""

    def __init__(self, card: VirtualCard, level: int, keys: tuple[bytes, bytes, bytes] = KEYS) -> None:
        answer = send(card, "80500000", CHALLENGE, 256)
        self.answer = scp02.parse_initialize_update(answer.data)
        static = keyset.KeySet(*(Secret(item) for item in keys))
        self.keys = scp02.derive_session_keys(static, self.answer.sequence_counter)
        self.card = card
        self.session = scp02.Scp02Session(
            self.keys, level, host_challenge=CHALLENGE, card=self.answer, i=card.platform.scp02_i
        )
        assert card.process(self.session.external_authenticate()) == b"\x90\x00"

    def send(self, header: str, data: bytes = b"", le: int | None = 256) -> ResponseAPDU:
        command = CommandAPDU(*bytes.fromhex(header), data, le)
        return ResponseAPDU.decode(self.session.unwrap(self.card.process(self.session.wrap(command))))


@pytest.mark.parametrize("i", OPTIONS)
@pytest.mark.parametrize("level", [0x00, 0x01, 0x03, 0x10, 0x11, 0x13])
def test_every_option_and_level(i: int, level: int) -> None:
    card = des_card(i)
    if level & 0x10 and not i & 0x20:
        send(card, "80500000", CHALLENGE, 256)
        assert send(card, f"8482{level:02X}00", bytes(16)).sw == 0x6A86
        return
    host = Host(card, level)
    for _ in range(3):
        assert host.send("80F28002", b"\x4f\x00").ok
        assert host.send("80F24002", b"\x4f\x00").sw == 0x6A88
        assert len(host.send("80CA9F7F").data) == 45
    assert host.send("80E29000", bytes.fromhex("420101"), None).ok


def test_the_counter_moves_with_each_success_only() -> None:
    card = des_card(0x15)
    assert Host(card, 0x01).answer.sequence_counter == 0
    send(card, "80500000", CHALLENGE, 256)
    send(card, "84820100", bytes(16))
    assert Host(card, 0x01).answer.sequence_counter == 1
    card.reset()
    assert Host(card, 0x01).answer.sequence_counter == 2


def test_the_pseudo_random_challenge_can_be_computed_beforehand() -> None:
    card = des_card(0x55)
    host = Host(card, 0x01)
    assert host.answer.card_challenge == scp02.calculate_card_challenge(host.keys, card.platform.domain_aid)
    assert Host(des_card(0x15), 0x01).answer.card_challenge != host.answer.card_challenge


def test_recorded_session_keys() -> None:
    """Static keys 40..4F, counter 0000: from an independent host."""
    assert session_key(FORTY, 0x0182, 0).hex().upper() == "010B0371D78377B801F2D62AFC671D95"
    assert session_key(FORTY, 0x0101, 0).hex().upper() == "D1C28C601652A4770D67AD82D2D2E1C4"
    assert check_value(FORTY, aes=False).hex().upper() == "8BAF47"


def test_put_key_under_the_session_key_with_the_recorded_value() -> None:
    card = des_card(0x15, (FORTY, FORTY, FORTY))
    field = b"\x80\x10" + bytes.fromhex("EFBEE6C6D99D7B70BDE9D7E927F020AF") + b"\x03" + bytes.fromhex("8BAF47")
    host = Host(card, 0x03, (FORTY, FORTY, FORTY))
    assert host.send("80D80081", b"\x20" + field * 3).data == b"\x20" + bytes.fromhex("8BAF47") * 3
    assert card.platform.keys.versions() == [0x20]


def test_changing_des_keys_and_opening_with_them() -> None:
    card = des_card(0x75)
    host = Host(card, 0x03)
    assert host.keys.dek is not None
    new = tuple(bytes(range(start, start + 16)) for start in (1, 33, 65))
    fields = b"".join(
        des_key(des3_ecb_encrypt(host.keys.dek.reveal(), key), check_value(key, aes=False)).encode() for key in new
    )
    assert host.send("80D80081", b"\x21" + fields).ok
    Host(card, 0x13, (new[0], new[1], new[2]))


def test_an_r_mac_session_within_a_session() -> None:
    card = des_card(0x35)
    host = Host(card, 0x01)
    assert host.send("807A1001", b"", None).ok
    raw = card.process(host.session.wrap(CommandAPDU(0x80, 0xCA, 0x00, 0xE0, le=256)))
    assert len(raw) == 2 + 20 + 8
    ended = card.process(host.session.wrap(CommandAPDU(0x80, 0x78, 0x00, 0x03, le=256)))
    assert ended[-2:] == b"\x90\x00"
    assert len(card.process(host.session.wrap(CommandAPDU(0x80, 0xCA, 0x00, 0xE0, le=256)))) == 2 + 20
    assert host.send("80780003", b"", None).sw == 0x6985


def test_r_mac_sessions_are_not_for_other_options() -> None:
    assert Host(des_card(0x15), 0x01).send("807A1001", b"", None).sw == 0x6985


def test_a_wrong_mac_ends_the_session() -> None:
    card = des_card(0x15)
    host = Host(card, 0x01)
    wrapped = bytearray(host.session.wrap(CommandAPDU(0x80, 0xCA, 0x00, 0xE0, le=256)))
    wrapped[-2] ^= 1
    assert card.process(bytes(wrapped)) == b"\x69\x82"
    assert host.send("80CA00E0").sw == 0x6982
