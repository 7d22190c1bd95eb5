"""Keys move from a file to a token and on to a second one, and cards still answer; a bad backup changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from card_io.apdu import CommandAPDU
from card_io.secret import Secret
from issuance.errors import VaultError, VaultExists
from issuance.keys.backup import BadBackup, transport_check_value
from issuance.keys.engine import VaultEngine
from issuance.keys.file_vault import FileVault
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.pkcs11_vault import Pkcs11Vault
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyState, PutKeyRequest
from tests.integration.keys.test_contract import verify
from tests.integration.keys.test_with_card import NEW_KVN, make_chip
from tests.support.keys import CHEAP, NOW, PASSPHRASES, TRANSPORT_CHECK_VALUE, TRANSPORT_COMPONENTS
from tests.support.tokens import PIN_HALVES, new_token

TRANSPORT = Secret(bytes(range(32)))
ALGORITHMS = {
    KeyPurpose.CARD_MASTER: KeyAlgorithm.AES_128,
    KeyPurpose.PIN_MASTER: KeyAlgorithm.AES_256,
    KeyPurpose.CA_ROOT: KeyAlgorithm.EC_P384,
    KeyPurpose.CA_ISSUING: KeyAlgorithm.EC_P256,
    KeyPurpose.DOCUMENT_SIGNER: KeyAlgorithm.RSA_2048,
    KeyPurpose.OCSP: KeyAlgorithm.EC_P256,
}


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[FileVault]:
    """A file vault with two versions of the card master, a destroyed key, and what tokens take."""
    with FileVault.create(tmp_path / "vault", PASSPHRASES, cost=CHEAP) as vault:
        for purpose, algorithm in ALGORITHMS.items():
            vault.generate(purpose, algorithm, now=NOW)
        vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)
        gone = vault.generate(KeyPurpose.AUDIT, KeyAlgorithm.EC_P256, now=NOW)
        vault.move(gone, KeyEvent.RETIRE)
        vault.move(gone, KeyEvent.DESTROY)
        vault.import_key(
            KeyPurpose.BLANK_TRANSPORT,
            KeyAlgorithm.AES_128,
            TRANSPORT_COMPONENTS,
            check_value=TRANSPORT_CHECK_VALUE,
            now=NOW,
        )
        yield vault


def empty_file(folder: Path, name: str) -> FileVault:
    return FileVault.create(folder / name, PASSPHRASES, cost=CHEAP)


def test_a_card_answers_after_its_keys_went_from_file_to_token_to_a_second_token(
    origin: FileVault, tmp_path: Path
) -> None:
    blank, master = origin.active(KeyPurpose.BLANK_TRANSPORT), origin.active(KeyPurpose.CARD_MASTER)
    chip = make_chip(7)
    session = chip.channel(origin, blank)
    (data,) = origin.put_key_data([PutKeyRequest(blank, master, chip.kdd, NEW_KVN)])
    put_key = CommandAPDU(0x80, 0xD8, 0x00, 0x81, data.key_data, le=256)
    assert session.unwrap(chip.connection.transmit(session.wrap(put_key))).endswith(b"\x90\x00")
    pins = origin.transport_pins(origin.active(KeyPurpose.PIN_MASTER), "9643000000000017", {"pin1": 4})
    told, identity = origin.describe(), origin.identity()

    with Pkcs11Vault.create(new_token(tmp_path / "first"), PIN_HALVES) as first:
        first.restore(origin.back_up(TRANSPORT), TRANSPORT)
        check(first, told, identity)
        chip.channel(first, master)
        onward = first.back_up(TRANSPORT)
    second_token = new_token(tmp_path / "second")
    with Pkcs11Vault.create(second_token, PIN_HALVES) as second:
        second.restore(onward, TRANSPORT)
    with Pkcs11Vault.unlock(second_token, PIN_HALVES) as second:
        check(second, told, identity)
        chip.channel(second, master)
        assert second.transport_pins(second.active(KeyPurpose.PIN_MASTER), "9643000000000017", {"pin1": 4}) == pins
        with empty_file(tmp_path, "home") as home:
            home.restore(second.back_up(TRANSPORT), TRANSPORT)
            check(home, told, identity)
            chip.channel(home, master)


def check(vault: VaultEngine, told: list[object], identity: object) -> None:
    """Same keys, states and check values; every signature key signs for its certificates."""
    assert vault.identity() == identity
    assert [(i.ref, i.algorithm, i.state, i.check_value) for i in vault.describe()] == [
        (i.ref, i.algorithm, i.state, i.check_value)  # type: ignore[attr-defined]
        for i in told
    ]
    for info in vault.describe():
        if info.state is KeyState.ACTIVE and info.algorithm not in (KeyAlgorithm.AES_128, KeyAlgorithm.AES_256):
            verify(vault.public_key(info.ref), vault.sign(info.ref, [b"moved"])[0], b"moved")


def test_a_version_is_never_given_twice_after_a_move(origin: FileVault, tmp_path: Path) -> None:
    with empty_file(tmp_path, "home") as home:
        home.restore(origin.back_up(TRANSPORT), TRANSPORT)
        assert home.generate(KeyPurpose.AUDIT, KeyAlgorithm.EC_P256, now=NOW).version == 2
        assert home.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW).version == 3


def test_no_key_stands_in_a_backup_in_clear(origin: FileVault) -> None:
    data = origin.back_up(TRANSPORT)
    for secret in origin._chest._keys.values():  # type: ignore[attr-defined]
        assert secret.reveal().hex().encode() not in data
    assert TRANSPORT.reveal().hex().encode() not in data


def test_another_transport_key_is_told_by_its_check_value(origin: FileVault, tmp_path: Path) -> None:
    data = origin.back_up(TRANSPORT)
    with empty_file(tmp_path, "home") as home:
        for wrong in (Secret(bytes(32)), Secret(bytes(16))):
            with pytest.raises(BadBackup):
                home.restore(data, wrong)
        with pytest.raises(BadBackup, match=transport_check_value(TRANSPORT)):
            home.restore(data, Secret(bytes(32)))
        assert home.describe() == []


@pytest.mark.parametrize("field", ["state", "check_value", "wrapped", "public_key", "uses", "version"])
def test_an_altered_backup_is_refused_and_nothing_is_taken_in(origin: FileVault, tmp_path: Path, field: str) -> None:
    content = json.loads(origin.back_up(TRANSPORT))
    item = next(key for key in content["keys"] if key["purpose"] == "ca-issuing")
    value = item[field]
    item[field] = value + 1 if isinstance(value, int) else value[:-1] + ("0" if value[-1] != "0" else "1")
    with empty_file(tmp_path, "home") as home:
        before = home.identity()
        with pytest.raises(BadBackup):
            home.restore(json.dumps(content).encode(), TRANSPORT)
        assert (home.describe(), home.identity()) == ([], before)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"check": 1}', b'{"check": "", "format": "other"}'])
def test_what_is_no_backup_is_refused(tmp_path: Path, data: bytes) -> None:
    with empty_file(tmp_path, "home") as home, pytest.raises(BadBackup):
        home.restore(data, TRANSPORT)


def test_a_vault_with_keys_takes_no_backup(origin: FileVault) -> None:
    with pytest.raises(VaultExists):
        origin.restore(origin.back_up(TRANSPORT), TRANSPORT)


def test_a_token_made_without_backup_gives_no_key_away(tmp_path: Path) -> None:
    with Pkcs11Vault.create(new_token(tmp_path / "sealed", extractable=False), PIN_HALVES) as vault:
        vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)
        with pytest.raises(VaultError):
            vault.back_up(TRANSPORT)
