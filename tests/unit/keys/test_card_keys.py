"""Derivation for one card, against published check values and an independent rebuild of the formulas."""

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from card_io.ciphers import aes_cmac, aes_ecb_encrypt, kcv_aes
from card_io.diversification import kdf3
from card_io.keyset import SessionKeys
from card_io.secret import Secret
from issuance.errors import BadComponent, VaultError, WrongCardKeys
from issuance.keys import card_keys
from issuance.keys.port import AesForm, CardSessionRequest, KeyPurpose, KeyRef, PutKeyData, PutKeyRequest
from tests.support.keys import HOST_CHALLENGE, KDD, TRANSPORT_MASTER, initialize_update_response

BLANK = KeyRef(KeyPurpose.BLANK_TRANSPORT, 1)
CARD = KeyRef(KeyPurpose.CARD_MASTER, 1)


def master_of(key: bytes) -> card_keys.Master:
    return card_keys.Master(
        len(key),
        lambda messages: [aes_cmac(key, message) for message in messages],
        lambda blocks: aes_ecb_encrypt(key, blocks),
    )


def open_session(request: CardSessionRequest, master: card_keys.Master | None = None) -> SessionKeys:
    (keys,) = card_keys.static_keys(master or MASTER, request.derivation, [request.kdd])
    return card_keys.session_keys(keys, request)


def put_key(current: card_keys.Master, new: card_keys.Master, request: PutKeyRequest) -> PutKeyData:
    old, fresh = (card_keys.static_keys(master, "kdf3", [request.kdd])[0] for master in (current, new))
    return card_keys.put_key_data(old, fresh, request)


MASTER = master_of(TRANSPORT_MASTER)


def session_request(response: bytes, **changes: object) -> CardSessionRequest:
    values = {
        "master": BLANK,
        "kdd": KDD,
        "host_challenge": HOST_CHALLENGE,
        "initialize_update_response": response,
        "i": 0x70,
        **changes,
    }
    return CardSessionRequest(**values)  # type: ignore[arg-type]


def test_static_keys_have_the_published_check_values() -> None:
    (keys,) = card_keys.static_keys(MASTER, "kdf3", [KDD])
    values = [kcv_aes(key.reveal()).hex().upper() for key in keys.in_order()]
    assert values == ["E79C05", "D1BD77", "3FDE8C"]


@given(
    key=st.sampled_from((16, 24, 32)).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    kdds=st.lists(st.binary(min_size=10, max_size=10), max_size=9),
)
def test_static_keys_of_many_cards_are_those_of_the_cards_side(key: bytes, kdds: list[bytes]) -> None:
    assert card_keys.static_keys(master_of(key), "kdf3", kdds) == [kdf3(Secret(key), kdd) for kdd in kdds]


@pytest.mark.parametrize("size_bytes", [16, 24, 32])
def test_columns_hold_every_card_of_a_large_batch_in_order(size_bytes: int) -> None:
    key = bytes(range(200, 200 + size_bytes))
    kdds = [number.to_bytes(4, "big") + bytes([number % 251] * 6) for number in range(2000)]
    enc, mac, dek = card_keys.kdf3_columns(master_of(key), b"".join(kdds))
    assert len(enc) == len(mac) == len(dek) == 2000 * size_bytes
    for card in (0, 1, 999, 1999):
        at = slice(card * size_bytes, (card + 1) * size_bytes)
        assert (
            tuple(Secret(bytes(column[at])) for column in (enc, mac, dek)) == kdf3(Secret(key), kdds[card]).in_order()
        )


def test_the_master_enciphers_once_for_a_whole_batch() -> None:
    calls: list[int] = []

    def encrypt(blocks: bytes | memoryview) -> bytes:
        calls.append(len(blocks))
        return aes_ecb_encrypt(TRANSPORT_MASTER, blocks)

    master = card_keys.Master(16, lambda _: [], encrypt)
    card_keys.kdf3_columns(master, KDD * 1000)
    assert calls == [16, 1000 * 3 * 16]  # the subkey, then exactly the blocks that the keys are
    assert [bytes(column) for column in card_keys.kdf3_columns(master, b"")] == [b"", b"", b""]


def test_data_that_are_no_whole_cards_are_refused() -> None:
    with pytest.raises(VaultError):
        card_keys.kdf3_columns(MASTER, KDD + b"x")


@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_kdd_of_a_wrong_length_stops_the_batch(at: int) -> None:
    kdds = [KDD, KDD, KDD]
    kdds[at] = KDD[1:]
    with pytest.raises(VaultError):
        card_keys.static_keys(MASTER, "kdf3", kdds)
    with pytest.raises(VaultError):
        card_keys.static_keys(MASTER, "visa2", [KDD])


def test_a_session_opens_with_the_right_master() -> None:
    session = open_session(session_request(initialize_update_response(TRANSPORT_MASTER)))
    assert [len(key) for key in (session.enc, session.mac, session.rmac)] == [16, 16, 16]
    assert session.dek is None


def test_another_master_is_refused_with_the_facts() -> None:
    response = initialize_update_response(bytes(16))
    with pytest.raises(WrongCardKeys) as caught:
        open_session(session_request(response))
    assert caught.value.facts == {"purpose": "blank-transport", "version": 1, "kvn": 1}
    assert "do not try again" in str(caught.value)


def test_every_flipped_bit_of_the_cryptogram_is_refused() -> None:
    response = initialize_update_response(TRANSPORT_MASTER)
    for bit in range(64):
        altered = bytearray(response)
        altered[21 + bit // 8] ^= 1 << bit % 8
        with pytest.raises(WrongCardKeys):
            open_session(session_request(bytes(altered)))


@pytest.mark.parametrize(
    "changes",
    [
        {"initialize_update_response": b""},
        {"initialize_update_response": bytes(29)},
        {"kdd": b"short"},
        {"host_challenge": b"1234567"},
        {"derivation": "nothing-known"},
        {"s_mode": 16},
    ],
)
def test_what_is_no_scp03_answer_is_refused(changes: dict[str, object]) -> None:
    request = session_request(initialize_update_response(TRANSPORT_MASTER), **changes)
    with pytest.raises(VaultError) as caught:
        open_session(request)
    assert not isinstance(caught.value, WrongCardKeys)


def decrypt(dek: bytes, encrypted: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(dek), modes.CBC(bytes(16))).decryptor()
    return decryptor.update(encrypted) + decryptor.finalize()


@pytest.mark.parametrize(("form", "header"), [(AesForm.INNER_LENGTH, "881110"), (AesForm.PLAIN, "8810")])
def test_put_key_data_carry_the_new_keys_under_the_old_dek(form: AesForm, header: str) -> None:
    new_master = master_of(bytes(range(16)))
    data = put_key(MASTER, new_master, PutKeyRequest(BLANK, CARD, KDD, 0x30, aes_form=form))
    dek = card_keys.static_keys(MASTER, "kdf3", [KDD])[0].dek.reveal()
    expected = card_keys.static_keys(new_master, "kdf3", [KDD])[0].in_order()
    assert data.key_data[0] == 0x30
    rest = data.key_data[1:]
    for key, kcv in zip(expected, data.check_values, strict=True):
        start = bytes.fromhex(header)
        assert rest.startswith(start)
        rest = rest[len(start) :]
        assert decrypt(dek, rest[:16]) == key.reveal()
        assert rest[16:20] == b"\x03" + kcv
        assert kcv == kcv_aes(key.reveal())
        rest = rest[20:]
    assert rest == b""


def test_put_key_of_a_256_bit_set_is_two_blocks_a_key() -> None:
    master = master_of(bytes(range(32)))
    data = put_key(master, master_of(bytes(32)), PutKeyRequest(BLANK, CARD, KDD, 1))
    assert data.key_data[1:4] == bytes([0x88, 0x21, 0x20])
    assert len(data.key_data) == 1 + 3 * (3 + 32 + 4)


@pytest.mark.parametrize("kvn", [0, 0x80])
def test_an_impossible_key_version_is_refused(kvn: int) -> None:
    with pytest.raises(VaultError):
        put_key(MASTER, MASTER, PutKeyRequest(BLANK, CARD, KDD, kvn))


@given(number=st.from_regex(r"[0-9]{8,19}", fullmatch=True), digits=st.integers(4, 12))
def test_pins_are_digits_of_the_asked_length_and_repeat(number: str, digits: int) -> None:
    pin = card_keys.transport_pin(MASTER, number, "pin1", digits)
    assert len(pin) == digits
    assert pin.reveal().isdigit()
    assert pin == card_keys.transport_pin(MASTER, number, "pin1", digits)


def test_a_pin_follows_the_written_formula() -> None:
    text = b"uec transport pin\x00krp\x009643123456789\x008"
    stream = b""
    for counter in (b"\x01", b"\x02"):
        mac = CMAC(algorithms.AES(TRANSPORT_MASTER))
        mac.update(counter + text)
        stream += mac.finalize()
    value = int.from_bytes(stream, "big") % 10**8
    assert card_keys.transport_pin(MASTER, "9643123456789", "krp", 8).reveal() == b"%08d" % value


def test_pins_differ_by_name_and_by_card() -> None:
    pins = {
        card_keys.transport_pin(MASTER, number, name, 12).reveal()
        for number in ("9643000000001", "9643000000002")
        for name in ("pin1", "pin2", "krp")
    }
    assert len(pins) == 6


@pytest.mark.parametrize(
    ("number", "name", "digits"), [("12a", "pin1", 4), ("", "pin1", 4), ("1", "", 4), ("1", "p", 3)]
)
def test_an_impossible_pin_is_refused(number: str, name: str, digits: int) -> None:
    with pytest.raises(VaultError):
        card_keys.transport_pin(MASTER, number, name, digits)


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=2, max_size=3, unique=True))
def test_components_give_their_xor(parts: list[bytes]) -> None:
    key = card_keys.combine(tuple(Secret(part) for part in parts), 16).reveal()
    for position in range(16):
        expected = 0
        for part in parts:
            expected ^= part[position]
        assert key[position] == expected


@pytest.mark.parametrize(
    "parts", [(b"1" * 16,), (b"1" * 16, b"2" * 15), (b"1" * 16, b"1" * 16), ()], ids=["one", "short", "twice", "none"]
)
def test_bad_components_are_refused(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(BadComponent):
        card_keys.combine(tuple(Secret(part) for part in parts), 16)
