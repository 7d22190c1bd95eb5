"""What every vault promises about keys for a bureau: wrapped for it alone, right for the chip, by the thousand."""

from pathlib import Path

import pytest

from card_io.ciphers import kcv_aes
from card_io.diversification import kdf3
from card_io.secret import Secret
from issuance.errors import UnusableKey, VaultError, VaultRefused
from issuance.keys import bureau_keys
from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.keys.engine import VaultEngine
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.port import BureauKeyRequest, KeyPurpose, KeyRef, PutKeyRequest, Vault
from issuance.keys.service import VaultService
from tests.support.keys import BUREAU_KEY, KDD, TRANSPORT_MASTER, bring_in_bureau_key

BLANK, MASTER = KeyRef(KeyPurpose.BLANK_TRANSPORT, 1), KeyRef(KeyPurpose.CARD_MASTER, 1)
DIGITS = {"pin1": 8, "pin2": 8, "krp": 8}
NUMBER = "7770000000000003"


def chips(count: int) -> list[BureauKeyRequest]:
    return [BureauKeyRequest(BLANK, MASTER, KDD[:6] + number.to_bytes(4, "big")) for number in range(count)]


@pytest.fixture(params=["file_vault", "token_vault"])
def engine(request: pytest.FixtureRequest) -> VaultEngine:
    vault: VaultEngine = request.getfixturevalue(request.param)
    return vault


def test_a_thousand_chips_come_back_wrapped_for_the_bureau(engine: VaultEngine) -> None:
    transport, wanted = bring_in_bureau_key(engine), chips(1203)
    made = engine.bureau_keys(transport, wanted)
    assert len({keys.new for keys in made}) == len({keys.current for keys in made}) == 1203
    for place in (0, 1, 1000, 1202):
        request, keys = wanted[place], made[place]
        blank = bureau_keys.unwrap_keys(Secret(BUREAU_KEY), keys.current, keys.current_check_values)
        assert blank == kdf3(Secret(TRANSPORT_MASTER), request.kdd)
        own = bureau_keys.unwrap_keys(Secret(BUREAU_KEY), keys.new, keys.new_check_values)
        assert [kcv_aes(key.reveal()) for key in own.in_order()] == list(keys.new_check_values)
        assert own != blank


def test_the_keys_are_those_that_the_card_would_be_opened_with(engine: VaultEngine) -> None:
    transport, (request,) = bring_in_bureau_key(engine), chips(1)
    (keys,) = engine.bureau_keys(transport, [request])
    own = bureau_keys.unwrap_keys(Secret(BUREAU_KEY), keys.new, keys.new_check_values)
    (data,) = engine.put_key_data([PutKeyRequest(BLANK, MASTER, request.kdd, 0x30)])
    assert data.check_values == keys.new_check_values
    assert data.check_values[0] == kcv_aes(own.enc.reveal())


def test_pins_are_the_vaults_own(engine: VaultEngine) -> None:
    transport, pin_master = bring_in_bureau_key(engine), engine.active(KeyPurpose.PIN_MASTER)
    other = "7770000000000011"
    wrapped = engine.bureau_pins(transport, pin_master, [NUMBER, other], DIGITS)
    for number, one in zip((NUMBER, other), wrapped, strict=True):
        found = bureau_keys.unwrap_pins(Secret(BUREAU_KEY), one, list(DIGITS))
        assert found == engine.transport_pins(pin_master, number, DIGITS)


def test_a_key_for_something_else_wraps_nothing(engine: VaultEngine) -> None:
    bring_in_bureau_key(engine)
    for ref in (BLANK, MASTER, engine.active(KeyPurpose.PIN_MASTER)):
        with pytest.raises(UnusableKey):
            engine.bureau_keys(ref, chips(2))
        with pytest.raises(UnusableKey):
            engine.bureau_pins(ref, engine.active(KeyPurpose.PIN_MASTER), [NUMBER], DIGITS)


def test_a_second_bureaus_key_leaves_the_first_one_working_until_it_is_stopped(engine: VaultEngine) -> None:
    first = bring_in_bureau_key(engine)
    second = bring_in_bureau_key(engine)
    assert second.version == 2
    assert engine.bureau_keys(first, chips(1)) == engine.bureau_keys(second, chips(1))
    engine.move(first, KeyEvent.COMPROMISE)
    with pytest.raises(UnusableKey, match="compromised"):
        engine.bureau_keys(first, chips(1))


def test_over_the_socket_only_the_worker_is_served(file_vault: VaultEngine, run_folder: Path) -> None:
    transport = bring_in_bureau_key(file_vault)
    pin_master = file_vault.active(KeyPurpose.PIN_MASTER)
    with VaultService(file_vault, run_folder / "vault.sock"):
        for kind in ClientKind:
            with VaultClient(run_folder / "vault.sock", kind) as client:
                vault: Vault = client
                if kind is ClientKind.WORKER:
                    assert vault.bureau_keys(transport, chips(1203)) == file_vault.bureau_keys(transport, chips(1203))
                    numbers = [NUMBER] * 1203
                    asked = vault.bureau_pins(transport, pin_master, numbers, DIGITS)
                    assert asked == file_vault.bureau_pins(transport, pin_master, numbers, DIGITS)
                    continue
                with pytest.raises(VaultRefused):
                    vault.bureau_keys(transport, chips(1))
                with pytest.raises(VaultRefused):
                    vault.bureau_pins(transport, pin_master, [NUMBER], DIGITS)


def test_the_wrong_transport_key_opens_nothing(engine: VaultEngine) -> None:
    (keys,) = engine.bureau_keys(bring_in_bureau_key(engine), chips(1))
    with pytest.raises(VaultError, match="transport key"):
        bureau_keys.unwrap_keys(Secret(bytes(32)), keys.new, keys.new_check_values)
    with pytest.raises(VaultError, match="check values"):
        bureau_keys.unwrap_keys(Secret(BUREAU_KEY), keys.new, keys.current_check_values)
