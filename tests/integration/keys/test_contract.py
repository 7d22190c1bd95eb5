"""What every vault promises, whatever is behind it."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from card_io.ciphers import kcv_aes
from card_io.diversification import kdf3
from card_io.scp03 import derive_session_keys
from card_io.secret import Secret
from issuance.errors import UnknownKey, UnusableKey, VaultError, WrongCardKeys
from issuance.keys.access import ClientKind
from issuance.keys.periods import PERIODS
from issuance.keys.port import (
    CardSessionRequest,
    ForetellRequest,
    KeyAlgorithm,
    KeyPurpose,
    KeyRef,
    KeyState,
    PutKeyRequest,
    Vault,
)
from tests.support.keys import (
    ALGORITHMS,
    HOST_CHALLENGE,
    KDD,
    NOW,
    TRANSPORT_MASTER,
    initialize_update_response,
)

Vaults = Mapping[ClientKind, Vault]
BLANK = KeyRef(KeyPurpose.BLANK_TRANSPORT, 1)
REQUEST = CardSessionRequest(BLANK, KDD, HOST_CHALLENGE, initialize_update_response(TRANSPORT_MASTER), i=0x70)
SIGNERS = {
    KeyPurpose.CA_ROOT: ClientKind.CA,
    KeyPurpose.CA_ISSUING: ClientKind.HUB,
    KeyPurpose.DOCUMENT_SIGNER: ClientKind.WORKER,
    KeyPurpose.AUDIT: ClientKind.SCHEDULER,
    KeyPurpose.STATION: ClientKind.HUB,
    KeyPurpose.OCSP: ClientKind.OCSP,
}


def verify(public_key: bytes, signature: bytes, message: bytes) -> None:
    key = serialization.load_der_public_key(public_key)
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, message)
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, message, ec.ECDSA(hashes.SHA384() if key.key_size == 384 else hashes.SHA256()))


@pytest.mark.parametrize("purpose", SIGNERS)
def test_a_batch_of_signatures_verifies_in_order(vaults: Vaults, purpose: KeyPurpose) -> None:
    vault = vaults[SIGNERS[purpose]]
    ref = vault.active(purpose)
    messages = [b"", b"one", bytes(5000)]
    signatures = vault.sign(ref, messages)
    for message, signature in zip(messages, signatures, strict=True):
        verify(vault.public_key(ref), signature, message)


def test_more_than_a_thousand_signatures_come_back_in_order(vaults: Vaults) -> None:
    vault = vaults[ClientKind.HUB]
    ref = vault.active(KeyPurpose.CA_ISSUING)
    messages = [b"%d" % number for number in range(1203)]
    signatures = vault.sign(ref, messages)
    assert len(signatures) == 1203
    for number in (0, 999, 1000, 1202):
        verify(vault.public_key(ref), signatures[number], messages[number])


def test_digests_sign_like_their_message(vaults: Vaults) -> None:
    for purpose, digest in ((KeyPurpose.CA_ISSUING, hashlib.sha256), (KeyPurpose.CA_ROOT, hashlib.sha384)):
        vault = vaults[ClientKind.CA]
        ref = vault.active(purpose)
        (signature,) = vault.sign_digests(ref, [digest(b"a long list").digest()])
        verify(vault.public_key(ref), signature, b"a long list")


def test_digests_that_do_not_fit_are_refused(vaults: Vaults) -> None:
    vault = vaults[ClientKind.CA]
    with pytest.raises(UnusableKey):
        vault.sign_digests(vault.active(KeyPurpose.CA_ISSUING), [b"short"])
    with pytest.raises(UnusableKey):
        vault.sign_digests(vault.active(KeyPurpose.AUDIT), [bytes(32)])


@pytest.mark.parametrize(
    "algorithm",
    [
        KeyAlgorithm.EC_P256,
        KeyAlgorithm.EC_P384,
        KeyAlgorithm.ED25519,
        KeyAlgorithm.RSA_2048,
        pytest.param(KeyAlgorithm.RSA_3072, marks=pytest.mark.slow),
        pytest.param(KeyAlgorithm.RSA_4096, marks=pytest.mark.nightly),  # seconds to make one
    ],
)
def test_every_algorithm_signs_messages_and_digests(vaults: Vaults, algorithm: KeyAlgorithm) -> None:
    ref = vaults[ClientKind.CUSTODIAN].generate(KeyPurpose.CA_ISSUING, algorithm, now=NOW)
    hub = vaults[ClientKind.HUB]
    public = hub.public_key(ref)
    for message in (b"", b"one", bytes(3000)):
        verify(public, hub.sign(ref, [message])[0], message)
    loaded = serialization.load_der_public_key(public)
    if isinstance(loaded, rsa.RSAPublicKey):
        assert (loaded.key_size, loaded.public_numbers().e) == (int(algorithm.value.removeprefix("rsa-")), 65537)
    hashed = hashlib.sha384 if algorithm is KeyAlgorithm.EC_P384 else hashlib.sha256
    if algorithm is KeyAlgorithm.ED25519:
        with pytest.raises(UnusableKey):
            hub.sign_digests(ref, [hashed(b"list").digest()])
    else:
        verify(public, hub.sign_digests(ref, [hashed(b"list").digest()])[0], b"list")
    told = next(info for info in hub.describe(KeyPurpose.CA_ISSUING) if info.ref == ref)
    assert told.check_value == hashlib.sha256(public).hexdigest()[:16].upper()
    assert told.expires_at == NOW + PERIODS[KeyPurpose.CA_ISSUING]


def test_an_algorithm_that_does_not_fit_the_purpose_is_refused(vaults: Vaults) -> None:
    custodian = vaults[ClientKind.CUSTODIAN]
    before = custodian.identity()
    for purpose in KeyPurpose:
        algorithm = KeyAlgorithm.AES_128 if purpose in SIGNERS else KeyAlgorithm.EC_P256
        with pytest.raises(UnusableKey):
            custodian.generate(purpose, algorithm, now=NOW)
    assert custodian.identity() == before


def test_session_keys_are_those_of_the_card(vaults: Vaults) -> None:
    session = vaults[ClientKind.HUB].card_session(REQUEST)
    card_challenge = REQUEST.initialize_update_response[13:21]
    expected = derive_session_keys(kdf3(Secret(TRANSPORT_MASTER), KDD), HOST_CHALLENGE, card_challenge)
    assert (session.enc, session.mac, session.rmac) == (expected.enc, expected.mac, expected.rmac)
    assert session.dek is None


def test_a_session_told_ahead_is_the_one_that_the_cards_answer_opens(vaults: Vaults) -> None:
    hub = vaults[ClientKind.HUB]
    isd = bytes.fromhex("A000000151000000")
    told = hub.foretell_session(ForetellRequest(BLANK, KDD, 0xFF, HOST_CHALLENGE, 0x70, 3, isd))
    asked = replace(REQUEST, initialize_update_response=told.initialize_update_response)
    assert hub.card_session(asked) == told.keys
    with pytest.raises(VaultError):
        hub.foretell_session(ForetellRequest(BLANK, KDD, 0xFF, HOST_CHALLENGE, 0x60, 3, isd))


def test_many_cards_in_one_call_keep_their_order(vaults: Vaults) -> None:
    kdds = [number.to_bytes(10, "big") for number in range(300)]
    requests = [
        replace(REQUEST, kdd=kdd, initialize_update_response=initialize_update_response(TRANSPORT_MASTER, kdd=kdd))
        for kdd in kdds
    ]
    sessions = vaults[ClientKind.HUB].card_sessions(requests)
    for request, session in zip(requests, sessions, strict=True):
        static = kdf3(Secret(TRANSPORT_MASTER), request.kdd)
        card_challenge = request.initialize_update_response[13:21]
        assert session.mac == derive_session_keys(static, HOST_CHALLENGE, card_challenge).mac


def test_a_card_with_other_keys_is_refused_with_the_facts(vaults: Vaults) -> None:
    stranger = replace(REQUEST, initialize_update_response=initialize_update_response(bytes(16)))
    with pytest.raises(WrongCardKeys) as caught:
        vaults[ClientKind.HUB].card_sessions([REQUEST, stranger])
    assert caught.value.facts == {"purpose": "blank-transport", "version": 1, "kvn": 1}
    assert caught.value.kvn == 1


def test_rotation_wraps_the_new_keys_and_tells_their_check_values(vaults: Vaults) -> None:
    hub = vaults[ClientKind.HUB]
    request = PutKeyRequest(BLANK, hub.active(KeyPurpose.CARD_MASTER), KDD, 0x20)
    first, second = hub.put_key_data([request, replace(request, kdd=bytes(10))])
    assert first.key_data[0] == 0x20
    assert first.check_values != second.check_values
    assert first.key_data.count(b"\x03" + first.check_values[2]) == 1
    assert hub.put_key_data([request]) == [first]


def test_a_known_new_master_gives_known_check_values(vaults: Vaults) -> None:
    hub = vaults[ClientKind.HUB]
    with pytest.raises(UnusableKey):
        hub.put_key_data([PutKeyRequest(hub.active(KeyPurpose.CARD_MASTER), BLANK, KDD, 1)])
    transport = kdf3(Secret(TRANSPORT_MASTER), KDD)
    assert kcv_aes(transport.enc.reveal()).hex().upper() == "E79C05"


def test_pins_repeat_and_stay_secret_in_print(vaults: Vaults) -> None:
    hub = vaults[ClientKind.HUB]
    ref = hub.active(KeyPurpose.PIN_MASTER)
    pins = hub.transport_pins(ref, "9643123456789", {"pin1": 4, "pin2": 6, "krp": 8})
    assert {name: len(pin) for name, pin in pins.items()} == {"pin1": 4, "pin2": 6, "krp": 8}
    assert pins == hub.transport_pins(ref, "9643123456789", {"pin1": 4, "pin2": 6, "krp": 8})
    assert pins != hub.transport_pins(ref, "9643123456788", {"pin1": 4, "pin2": 6, "krp": 8})
    assert "***" in repr(pins)
    assert pins["krp"].reveal().decode() not in repr(pins)


@pytest.mark.parametrize("size_bytes", [16, 24, 32])
def test_an_admin_key_is_one_chips_own(vaults: Vaults, size_bytes: int) -> None:
    hub = vaults[ClientKind.HUB]
    ref = hub.active(KeyPurpose.CARD_MASTER)
    key = hub.admin_key(ref, "4790d321", size_bytes)
    assert len(key) == size_bytes and key == hub.admin_key(ref, "4790d321", size_bytes)
    assert key != hub.admin_key(ref, "4790d322", size_bytes)
    for chip_id, wrong in (("", size_bytes), ("a b", size_bytes), ("4790d321", size_bytes - 1)):
        with pytest.raises(VaultError):
            hub.admin_key(ref, chip_id, wrong)


def test_a_new_version_is_active_and_the_old_one_still_opens_its_cards(vaults: Vaults) -> None:
    custodian, hub = vaults[ClientKind.CUSTODIAN], vaults[ClientKind.HUB]
    before = custodian.identity()
    new = custodian.generate(KeyPurpose.BLANK_TRANSPORT, KeyAlgorithm.AES_256, now=NOW + timedelta(days=1))
    assert new == KeyRef(KeyPurpose.BLANK_TRANSPORT, 2) == hub.active(KeyPurpose.BLANK_TRANSPORT)
    states = {info.ref: info.state for info in hub.describe(KeyPurpose.BLANK_TRANSPORT)}
    assert states == {BLANK: KeyState.RETIRED, new: KeyState.ACTIVE}
    assert len(hub.card_session(REQUEST).mac) == 16
    assert custodian.identity().vault_id == before.vault_id
    assert custodian.identity().generation == before.generation + 1


def test_describe_tells_all_keys_and_no_material(vaults: Vaults) -> None:
    hub = vaults[ClientKind.HUB]
    infos = hub.describe()
    assert {info.ref.purpose: info.algorithm for info in infos} == {
        **ALGORITHMS,
        KeyPurpose.BLANK_TRANSPORT: KeyAlgorithm.AES_128,
    }
    assert {info.created_at for info in infos} == {NOW}
    (blank,) = hub.describe(KeyPurpose.BLANK_TRANSPORT)
    assert blank.check_value == "504A77"
    ref = hub.active(KeyPurpose.CA_ISSUING)
    (issuing,) = hub.describe(KeyPurpose.CA_ISSUING)
    assert issuing.check_value == hashlib.sha256(hub.public_key(ref)).hexdigest()[:16].upper()


def test_uses_are_counted(vaults: Vaults) -> None:
    hub = vaults[ClientKind.HUB]
    hub.sign(hub.active(KeyPurpose.DOCUMENT_SIGNER), [b"1", b"2", b"3"])
    hub.card_session(REQUEST)
    uses = {info.ref.purpose: info.uses for info in hub.describe()}
    assert uses[KeyPurpose.DOCUMENT_SIGNER] == 3
    assert uses[KeyPurpose.BLANK_TRANSPORT] == 1


def test_unknown_keys_and_wrong_uses_are_refused(vaults: Vaults) -> None:
    hub = vaults[ClientKind.HUB]
    with pytest.raises(UnknownKey) as caught:
        hub.sign(KeyRef(KeyPurpose.CA_ISSUING, 7), [b"x"])
    assert caught.value.version == 7
    with pytest.raises(UnusableKey):
        hub.public_key(BLANK)
    with pytest.raises(VaultError):
        hub.sign(BLANK, [b"a card key signs nothing"])
    with pytest.raises(VaultError):
        hub.transport_pins(BLANK, "123", {"pin1": 4})


def test_random_bytes_differ_and_have_the_asked_size(vaults: Vaults) -> None:
    hub = vaults[ClientKind.HUB]
    assert len(hub.random(0)) == 0
    assert len({hub.random(16) for _ in range(20)}) == 20
    for size in (-1, 1 << 30):
        with pytest.raises(VaultError):
            hub.random(size)


def test_office_and_vault_count_on_together(vaults: Vaults) -> None:
    worker = vaults[ClientKind.WORKER]
    before = worker.identity()
    after = worker.step(before.generation)
    assert (after.vault_id, after.generation) == (before.vault_id, before.generation + 1)
    assert worker.step(before.generation) == after, "whoever asks late changes nothing"
    assert worker.identity() == after
    told = [info.check_value for info in worker.describe()]
    assert worker.step(after.generation).generation == after.generation + 1
    assert [info.check_value for info in worker.describe()] == told
