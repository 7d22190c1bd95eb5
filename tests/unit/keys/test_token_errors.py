"""What a token's module reports becomes one clear sentence each: full, gone, locked, a wrong PIN and the tries left."""

import pkcs11
import pytest
from pkcs11 import TokenFlag

from issuance.errors import VaultDamaged, VaultError, VaultFull, VaultPinLocked, VaultUnavailable, VaultUnlockError
from issuance.keys.token_errors import asked, not_opened, require_tries, translated

NONE = TokenFlag(0)


@pytest.mark.parametrize(
    ("reported", "kind", "words"),
    [
        (pkcs11.DeviceMemory, VaultFull, "full"),
        (pkcs11.HostMemory, VaultFull, "full"),
        (pkcs11.TokenWriteProtected, VaultFull, "writing"),
        (pkcs11.DeviceRemoved, VaultUnavailable, "gone"),
        (pkcs11.TokenNotPresent, VaultUnavailable, "gone"),
        (pkcs11.SessionHandleInvalid, VaultUnavailable, "gone"),
        (pkcs11.SessionClosed, VaultUnavailable, "gone"),
        (pkcs11.UserNotLoggedIn, VaultUnavailable, "gone"),
        (pkcs11.KeyHandleInvalid, VaultDamaged, "backup"),
        (pkcs11.ObjectHandleInvalid, VaultDamaged, "backup"),
        (pkcs11.KeyUnextractable, VaultError, "stay in its token"),
        (pkcs11.MechanismInvalid, VaultError, "another algorithm"),
        (pkcs11.DeviceError, VaultUnavailable, "plugged in"),
        (pkcs11.GeneralError, VaultUnavailable, "plugged in"),
    ],
)
def test_every_report_has_its_error_and_its_words(
    reported: type[pkcs11.PKCS11Error], kind: type[VaultError], words: str
) -> None:
    error = translated(reported())
    assert type(error) is kind
    assert words in str(error) and reported.__name__ in str(error)

    @asked
    def work() -> None:
        raise reported

    with pytest.raises(kind):
        work()


def test_what_is_no_report_of_the_module_goes_through() -> None:
    @asked
    def work() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        work()


@pytest.mark.parametrize(
    ("flags", "tries"),
    [
        (TokenFlag.USER_PIN_LOCKED, "none"),
        (TokenFlag.USER_PIN_LOCKED | TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_COUNT_LOW, "none"),
        (TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_COUNT_LOW, "last"),
    ],
)
def test_the_last_try_is_left_to_a_person(flags: TokenFlag, tries: str) -> None:
    with pytest.raises(VaultPinLocked) as caught:
        require_tries(flags, "uec", "/module.so")
    assert (caught.value.tries, caught.value.path) == (tries, "/module.so")


@pytest.mark.parametrize("flags", [NONE, TokenFlag.USER_PIN_COUNT_LOW, TokenFlag.SO_PIN_LOCKED])
def test_with_tries_left_the_vault_logs_in(flags: TokenFlag) -> None:
    try:
        require_tries(flags, "uec", "/module.so")
    except VaultPinLocked as refusal:
        raise AssertionError("the vault should log in while a try is left") from refusal


@pytest.mark.parametrize(
    ("error", "flags", "kind", "tries"),
    [
        (pkcs11.PinIncorrect(), NONE, VaultUnlockError, None),
        (pkcs11.PinIncorrect(), TokenFlag.USER_PIN_COUNT_LOW, VaultUnlockError, "few"),
        (pkcs11.PinIncorrect(), TokenFlag.USER_PIN_FINAL_TRY, VaultUnlockError, "last"),
        (pkcs11.PinIncorrect(), TokenFlag.USER_PIN_LOCKED, VaultPinLocked, "none"),
        (pkcs11.PinLocked(), NONE, VaultPinLocked, "none"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "x"), NONE, VaultUnlockError, None),
    ],
)
def test_a_wrong_pin_tells_what_is_left(
    error: Exception, flags: TokenFlag, kind: type[VaultError], tries: str | None
) -> None:
    found = not_opened(error, flags, "uec", "/module.so")
    assert type(found) is kind
    assert found.facts["tries"] == tries
    assert "lock" in str(found)
