"""The vault in a PKCS#11 token (SoftHSM2): what only a token has, and many clients at once."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, ObjectClass

from card_io.secret import Secret
from issuance.errors import VaultBusy, VaultDamaged, VaultError, VaultExists, VaultMissing, VaultUnlockError
from issuance.keys.access import ClientKind, socket_for
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.pkcs11_vault import Pkcs11Vault, holds_vault
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyState
from issuance.keys.service import VaultService
from issuance.keys.tokens import Token
from tests.integration.keys.test_contract import verify
from tests.support.keys import NOW, fill
from tests.support.tokens import PIN_HALVES

PIN = "".join(half.reveal().decode() for half in PIN_HALVES)

CLIENT = """
import sys
from pathlib import Path
from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.keys.port import KeyPurpose
from tests.integration.keys.test_contract import REQUEST, verify
with VaultClient(Path(sys.argv[1]), ClientKind.HUB) as vault:
    ref = vault.active(KeyPurpose.CA_ISSUING)
    spki = vault.public_key(ref)
    session = vault.card_session(REQUEST)
    for number in range(30):
        messages = [b"%s-%d-%d" % (sys.argv[2].encode(), number, at) for at in range(20)]
        for message, signature in zip(messages, vault.sign(ref, messages), strict=True):
            verify(spki, signature, message)
        assert vault.card_session(REQUEST).mac == session.mac
        assert len(vault.random(32)) == 32
print("ok")
"""


def test_a_reopened_token_knows_its_keys_and_their_uses(token: Token) -> None:
    assert not holds_vault(token, PIN_HALVES)
    with Pkcs11Vault.create(token, PIN_HALVES) as vault:
        fill(vault)
        told, identity = vault.describe(), vault.identity()
        ref = vault.active(KeyPurpose.OCSP)
        vault.sign(ref, [b"x"] * 3)
    assert holds_vault(token, PIN_HALVES)
    with Pkcs11Vault.unlock(token, PIN_HALVES) as vault:
        assert vault.identity() == identity
        assert [info.check_value for info in vault.describe()] == [info.check_value for info in told]
        assert vault.describe(KeyPurpose.OCSP)[0].uses == 3
        verify(vault.public_key(ref), vault.sign(ref, [b"y"])[0], b"y")


@pytest.mark.slow
def test_many_processes_ask_one_token_at_once(token_vault: Pkcs11Vault, run_folder: Path) -> None:
    path = run_folder / "vault.sock"
    before = {info.ref.purpose: info.uses for info in token_vault.describe()}
    with VaultService(token_vault, path):
        environment = {key: value for key, value in os.environ.items() if key != "SOFTHSM2_CONF"}
        clients = [
            subprocess.Popen(
                [sys.executable, "-c", CLIENT, str(path), str(number)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for number in range(6)
        ]
        said = [client.communicate(timeout=100) for client in clients]
    assert [out for out, _ in said] == ["ok\n"] * 6, said
    after = {info.ref.purpose: info.uses for info in token_vault.describe()}
    assert after[KeyPurpose.CA_ISSUING] - before[KeyPurpose.CA_ISSUING] == 6 * 30 * 20
    assert after[KeyPurpose.BLANK_TRANSPORT] - before[KeyPurpose.BLANK_TRANSPORT] == 6 * 31


def test_a_second_owner_is_kept_out(token_vault: Pkcs11Vault, token: Token) -> None:
    with pytest.raises(VaultBusy):
        Pkcs11Vault.unlock(token, PIN_HALVES)
    assert token_vault.describe()


def test_neither_half_of_the_pin_opens_the_token(token: Token) -> None:
    for halves in (
        (PIN_HALVES[0], Secret(b"")),
        (Secret(b""), PIN_HALVES[1]),
        (PIN_HALVES[1], PIN_HALVES[0]),
        (Secret(b"\xff"), PIN_HALVES[1]),
    ):
        with pytest.raises(VaultUnlockError):
            Pkcs11Vault.create(token, halves)
    Pkcs11Vault.create(token, PIN_HALVES).close()


def test_wrong_pins_are_counted_and_a_right_one_sets_the_counter_back(token: Token) -> None:
    wrong = (Secret(b"11111"), Secret(b"22222"))
    tries = []
    for _ in range(2):
        with pytest.raises(VaultUnlockError) as caught:
            Pkcs11Vault.create(token, wrong)
        tries.append(caught.value.tries)
        assert "11111" not in str(caught.value)
    assert tries == ["few", "few"]  # SoftHSM2 tells that wrong ones were counted
    Pkcs11Vault.create(token, PIN_HALVES).close()
    with pytest.raises(VaultUnlockError) as caught:
        Pkcs11Vault.unlock(token, (PIN_HALVES[0], Secret(b"x")))
    assert "lock" in str(caught.value)


def test_a_token_that_is_not_there_or_holds_something_else(token: Token) -> None:
    with pytest.raises(VaultMissing):
        Pkcs11Vault.unlock(replace(token, label="another"), PIN_HALVES)
    with pytest.raises(VaultMissing):
        Pkcs11Vault.unlock(replace(token, module=Path("/nowhere/module.so")), PIN_HALVES)
    with pytest.raises(VaultMissing):
        Pkcs11Vault.unlock(token, PIN_HALVES)
    Pkcs11Vault.create(token, PIN_HALVES).close()
    with pytest.raises(VaultExists):
        Pkcs11Vault.create(token, PIN_HALVES)


def test_no_key_can_be_read_out(token_vault: Pkcs11Vault, token: Token) -> None:
    known = len(token_vault.describe())
    token_vault.close()
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(user_pin=PIN)
    try:
        secret = list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))
        private = list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY}))
        assert len(secret) == 3
        assert len(private) == known - 3
        for item in (*secret, *private):
            assert item[Attribute.SENSITIVE]
            with pytest.raises(pkcs11.AttributeSensitive):
                _ = item[Attribute.VALUE]
    finally:
        session.close()


def _remove(token: Token, wanted: dict[Attribute, object]) -> int:
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(rw=True, user_pin=PIN)
    try:
        found = list(session.get_objects(wanted))
        for item in found:
            item.destroy()
        return len(found)
    finally:
        session.close()


def test_a_lost_key_is_noticed_when_the_vault_is_opened(token: Token) -> None:
    with Pkcs11Vault.create(token, PIN_HALVES) as vault:
        fill(vault)
    assert _remove(token, {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: "uec/ca-issuing/1"}) == 1
    with pytest.raises(VaultDamaged) as caught:
        Pkcs11Vault.unlock(token, PIN_HALVES)
    assert "ca-issuing" in str(caught.value)


def test_a_damaged_ring_is_noticed(token: Token) -> None:
    Pkcs11Vault.create(token, PIN_HALVES).close()
    assert _remove(token, {Attribute.CLASS: ObjectClass.DATA}) == 1
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(rw=True, user_pin=PIN)
    session.create_object(
        {
            Attribute.CLASS: ObjectClass.DATA,
            Attribute.LABEL: "uec key ring",
            Attribute.TOKEN: True,
            Attribute.PRIVATE: True,
            Attribute.VALUE: b"{}",
        }
    )
    session.close()
    with pytest.raises(VaultDamaged):
        Pkcs11Vault.unlock(token, PIN_HALVES)


def test_what_a_crash_left_under_a_label_is_not_taken_for_the_new_key(token: Token) -> None:
    with Pkcs11Vault.create(token, PIN_HALVES) as vault:
        fill(vault)
        orphan = vault._chest.make(replace(vault.active(KeyPurpose.CA_ISSUING), version=2), _p256(vault))
        ref = vault.generate(KeyPurpose.CA_ISSUING, _p256(vault), now=NOW)
        told = vault.describe(KeyPurpose.CA_ISSUING)[-1]
        assert told.ref == ref
        assert told.check_value != orphan
        verify(vault.public_key(ref), vault.sign(ref, [b"m"])[0], b"m")


def _p256(vault: Pkcs11Vault) -> KeyAlgorithm:
    return vault.describe(KeyPurpose.CA_ISSUING)[0].algorithm


def test_a_destroyed_key_is_gone_from_the_token(token_vault: Pkcs11Vault, token: Token) -> None:
    ref = token_vault.active(KeyPurpose.DOCUMENT_SIGNER)
    for event in (KeyEvent.RETIRE, KeyEvent.DESTROY):
        token_vault.move(ref, event)
    with pytest.raises(VaultError):
        token_vault.sign(ref, [b"x"])
    assert token_vault.describe(KeyPurpose.DOCUMENT_SIGNER)[0].state is KeyState.DESTROYED
    token_vault.close()
    assert _remove(token, {Attribute.LABEL: "uec/document-signer/1"}) == 0
    with Pkcs11Vault.unlock(token, PIN_HALVES) as again:
        assert again.describe(KeyPurpose.DOCUMENT_SIGNER)[0].state is KeyState.DESTROYED


def test_a_token_that_goes_away_is_told_in_words_and_nothing_changes(token_vault: Pkcs11Vault, token: Token) -> None:
    told, identity = token_vault.describe(), token_vault.identity()
    shutil.rmtree(token.lock_path.parent / "tokens")
    with pytest.raises(VaultError) as caught:
        token_vault.generate(KeyPurpose.CA_ISSUING, _p256(token_vault), now=NOW)
    assert "token" in str(caught.value)
    assert (token_vault.describe(), token_vault.identity()) == (told, identity)


def test_the_sockets_are_the_same_for_a_token(token_vault: Pkcs11Vault, run_folder: Path) -> None:
    with VaultService(token_vault, run_folder / "v.sock"):
        assert all(socket_for(run_folder / "v.sock", kind).exists() for kind in ClientKind)
