"""What a token's module reports (PKCS #11 v2.40, section 5.1.6), turned into the vault's own errors, one sentence each.

A token counts wrong PINs and locks itself: what it tells about its counter is read before and after each attempt.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import pkcs11
from pkcs11 import TokenFlag

from issuance.errors import VaultDamaged, VaultError, VaultFull, VaultPinLocked, VaultUnavailable, VaultUnlockError

P = ParamSpec("P")
Result = TypeVar("Result")

WRONG_PIN = (pkcs11.PinIncorrect, pkcs11.PinLenRange, pkcs11.PinInvalid, pkcs11.ArgumentsBad)


def translated(error: pkcs11.PKCS11Error) -> VaultError:
    """The vault's error for what the module reported about work on an open token."""
    kind = type(error).__name__
    for reported, make in _ERRORS:
        if isinstance(error, reported):
            return make(kind)
    return VaultUnavailable(f"the token refused ({kind}): is it plugged in? Then start `uec vault` again", path="token")


_ERRORS: tuple[tuple[tuple[type[pkcs11.PKCS11Error], ...], Callable[[str], VaultError]], ...] = (
    (
        (pkcs11.DeviceMemory, pkcs11.HostMemory),
        lambda kind: VaultFull(f"the token is full ({kind}): destroy keys that are no longer needed", path="token"),
    ),
    (
        (pkcs11.TokenWriteProtected, pkcs11.SessionReadOnly),
        lambda kind: VaultFull(f"the token takes no writing ({kind}): allow it, then try again", path="token"),
    ),
    (
        (
            pkcs11.DeviceRemoved,
            pkcs11.TokenNotPresent,
            pkcs11.SessionHandleInvalid,
            pkcs11.SessionClosed,
            pkcs11.UserNotLoggedIn,
        ),
        lambda kind: VaultUnavailable(
            f"the token is gone ({kind}): plug it in and start `uec vault` again", path="token"
        ),
    ),
    (
        (pkcs11.KeyHandleInvalid, pkcs11.ObjectHandleInvalid),
        lambda kind: VaultDamaged(
            f"the token no longer has a key it had ({kind}): restore it from a backup", path="token", previous=None
        ),
    ),
    (
        (pkcs11.KeyUnextractable, pkcs11.KeyNotWrappable),
        lambda kind: VaultError(f"a key was made to stay in its token ({kind}): it cannot be backed up"),
    ),
    (
        (pkcs11.MechanismInvalid, pkcs11.FunctionNotSupported),
        lambda kind: VaultError(f"the token cannot do this ({kind}): choose a key of another algorithm"),
    ),
)


def asked(method: Callable[P, Result]) -> Callable[P, Result]:
    """Raise the vault's errors instead of the module's."""

    @wraps(method)
    def ask(*args: P.args, **kwargs: P.kwargs) -> Result:
        try:
            return method(*args, **kwargs)
        except pkcs11.PKCS11Error as error:
            raise translated(error) from error

    return ask


def require_tries(flags: TokenFlag, label: str, where: str) -> None:
    """Raise `VaultPinLocked` for a token that is locked, or would be by one more wrong PIN.

    The last try is left to a person: programs start again by themselves, and a wrong file of passphrases would lock it.
    """
    if flags & TokenFlag.USER_PIN_LOCKED:
        raise _locked(label, where)
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        raise VaultPinLocked(
            f"the token {label} locks at the next wrong PIN: log in once with its maker's own tool, which sets the "
            "counter back, then start again",
            path=where,
            tries="last",
        )


def not_opened(error: Exception, flags: TokenFlag, label: str, where: str) -> VaultError:
    """The error for a log-in that failed; `flags` as the token shows them after it."""
    if isinstance(error, pkcs11.PinLocked) or flags & TokenFlag.USER_PIN_LOCKED:
        return _locked(label, where)
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        return VaultUnlockError(
            f"the token {label} does not open, and the next wrong PIN locks it: find out who is first and second "
            "custodian before anyone tries again",
            path=where,
            tries="last",
        )
    few = bool(flags & TokenFlag.USER_PIN_COUNT_LOW)
    return VaultUnlockError(
        f"the token {label} does not open: both custodians type their half of its PIN again; "
        f"{'it has counted wrong PINs already, and ' if few else ''}a few more mistakes lock it",
        path=where,
        tries="few" if few else None,
    )


def _locked(label: str, where: str) -> VaultPinLocked:
    return VaultPinLocked(
        f"the token {label} is locked after too many wrong PINs: its security officer sets a new PIN with the SO PIN",
        path=where,
        tries="none",
    )
