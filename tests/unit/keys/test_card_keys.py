"""Derivation for one card, against published check values and an independent rebuild of the formulas."""

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from card_io import scp02, scp03
from card_io.ciphers import des3_ecb_decrypt, kcv_aes, kcv_des3
from card_io.diversification import diversify
from card_io.keyset import KeySet, SessionKeys
from card_io.secret import Secret
from issuance.errors import BadComponent, VaultError, WrongCardKeys
from issuance.keys import card_keys
from issuance.keys.diversification import Master, static_keys
from issuance.keys.port import (
    AesForm,
    CardSessionRequest,
    ForetellRequest,
    KeyPurpose,
    KeyRef,
    PutKeyData,
    PutKeyRequest,
)
from tests.support.keys import (
    HOST_CHALLENGE,
    KDD,
    TRANSPORT_MASTER,
    des_initialize_update_response,
    initialize_update_response,
    master_of,
)

BLANK = KeyRef(KeyPurpose.BLANK_TRANSPORT, 1)
CARD = KeyRef(KeyPurpose.CARD_MASTER, 1)


def open_session(request: CardSessionRequest, master: Master | None = None) -> SessionKeys:
    (keys,) = static_keys(master or MASTER, request.derivation, [request.kdd])
    return card_keys.session_keys(keys, request)


def put_key(current: Master, new: Master, request: PutKeyRequest) -> PutKeyData:
    old, fresh = (static_keys(master, "kdf3", [request.kdd])[0] for master in (current, new))
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


DES = master_of(TRANSPORT_MASTER, block_bytes=8)


@pytest.mark.parametrize("derivation", ["emv", "visa2"])
def test_a_session_of_scp02_opens_with_keys_by_emv_and_visa2(derivation: str) -> None:
    keys = diversify(derivation, KeySet.same(Secret(TRANSPORT_MASTER)), KDD)
    response = des_initialize_update_response(keys, counter=7)
    session = open_session(session_request(response, derivation=derivation, scp="02"), DES)
    theirs = scp02.derive_session_keys(keys, 7)
    assert (session.enc, session.mac, session.rmac, session.dek) == (theirs.enc, theirs.mac, theirs.rmac, None)
    other = "visa2" if derivation == "emv" else "emv"
    with pytest.raises(WrongCardKeys) as caught:
        open_session(session_request(response, derivation=other, scp="02"), DES)
    assert caught.value.facts["kvn"] == 1


@pytest.mark.parametrize(("derivation", "scp"), [("emv", "03"), ("visa2", "03"), ("emv", "11")])
def test_a_protocol_that_does_not_go_with_the_derivation_is_refused(derivation: str, scp: str) -> None:
    keys = diversify(derivation, KeySet.same(Secret(TRANSPORT_MASTER)), KDD)
    with pytest.raises(VaultError, match=f"SCP{scp} has no keys by {derivation}"):
        open_session(session_request(des_initialize_update_response(keys), derivation=derivation, scp=scp), DES)


def test_put_key_of_3des_keys_goes_under_the_sessions_dek() -> None:
    old, new = (KeySet.same(Secret(key)) for key in (TRANSPORT_MASTER, bytes(range(16))))
    current, fresh = (diversify("visa2", keys, KDD) for keys in (old, new))
    asked = PutKeyRequest(BLANK, CARD, KDD, 2, "visa2", sequence_counter=9)
    data = card_keys.put_key_data(current, fresh, asked)
    dek = scp02.derive_session_keys(current, 9).dek
    assert dek is not None and data.key_data[0] == 2
    for at, (key, kcv) in enumerate(zip(fresh.in_order(), data.check_values, strict=True)):
        block = data.key_data[1 + 22 * at : 23 + 22 * at]
        assert block[:2] == bytes([0x80, 16]) and block[18:] == b"\x03" + kcv
        assert des3_ecb_decrypt(dek.reveal(), block[2:18]) == key.reveal()
        assert kcv == kcv_des3(key.reveal())


@pytest.mark.parametrize(("derivation", "counter"), [("kdf3", 1), ("emv", None)])
def test_a_sequence_counter_goes_with_3des_keys_and_no_others(derivation: str, counter: int | None) -> None:
    keys = KeySet.same(Secret(TRANSPORT_MASTER))
    with pytest.raises(VaultError, match="sequence counter"):
        card_keys.put_key_data(keys, keys, PutKeyRequest(BLANK, CARD, KDD, 1, derivation, sequence_counter=counter))


def decrypt(dek: bytes, encrypted: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(dek), modes.CBC(bytes(16))).decryptor()
    return decryptor.update(encrypted) + decryptor.finalize()


@pytest.mark.parametrize(("form", "header"), [(AesForm.INNER_LENGTH, "881110"), (AesForm.PLAIN, "8810")])
def test_put_key_data_carry_the_new_keys_under_the_old_dek(form: AesForm, header: str) -> None:
    new_master = master_of(bytes(range(16)))
    data = put_key(MASTER, new_master, PutKeyRequest(BLANK, CARD, KDD, 0x30, aes_form=form))
    dek = static_keys(MASTER, "kdf3", [KDD])[0].dek.reveal()
    expected = static_keys(new_master, "kdf3", [KDD])[0].in_order()
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


def foretell(**changes: object) -> ForetellRequest:
    values = {
        "master": BLANK,
        "kdd": KDD,
        "kvn": 0x31,
        "host_challenge": HOST_CHALLENGE,
        "i": 0x70,
        "sequence_counter": 7,
        "aid": bytes.fromhex("A000000151000000"),
        **changes,
    }
    return ForetellRequest(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("host_challenge", [HOST_CHALLENGE, HOST_CHALLENGE * 2])
def test_a_foretold_session_is_the_one_that_the_card_will_open(host_challenge: bytes) -> None:
    (keys,) = static_keys(MASTER, "kdf3", [KDD])
    told = card_keys.foretold_session(keys, foretell(host_challenge=host_challenge))
    answer = scp03.parse_initialize_update(told.initialize_update_response)
    assert (answer.kdd, answer.kvn, answer.i, answer.sequence_counter) == (KDD, 0x31, 0x70, 7)
    assert answer.foretellable and answer.s_mode == len(host_challenge)
    asked = session_request(told.initialize_update_response, host_challenge=host_challenge, s_mode=len(host_challenge))
    assert open_session(asked) == told.keys, "the vault takes the answer for a card's, and gives the same keys"


def test_every_count_has_its_own_challenge() -> None:
    (keys,) = static_keys(MASTER, "kdf3", [KDD])
    told = {
        card_keys.foretold_session(keys, foretell(sequence_counter=count)).initialize_update_response
        for count in (1, 2, 255, 256, 0xFFFFFF)
    }
    assert len({answer[13:21] for answer in told}) == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"i": 0x60},
        {"derivation": "emv"},
        {"sequence_counter": 0},
        {"sequence_counter": 0x1000000},
        {"kdd": KDD[:9]},
        {"host_challenge": HOST_CHALLENGE[:7]},
    ],
)
def test_what_cannot_be_foretold_is_refused(changes: dict[str, object]) -> None:
    (keys,) = static_keys(MASTER, "kdf3", [KDD])
    with pytest.raises(VaultError):
        card_keys.foretold_session(keys, foretell(**changes))
