"""Which token a vault is in, and logging in to it (PKCS #11 v2.40).

The user PIN is two halves, one for each custodian, so that neither opens it alone.
"""

from dataclasses import dataclass
from pathlib import Path

import pkcs11

from card_io.secret import Secret
from issuance.errors import VaultMissing
from issuance.keys import token_errors


@dataclass(frozen=True)
class Token:
    """Where a vault's keys lie: module, token label, the path whose lock says who has it open.

    `extractable`: whether keys made there can be backed up (wrapped under a transport key; never in clear).
    """

    module: Path
    label: str
    lock_path: Path
    extractable: bool = True


def login(token: Token, pin_halves: tuple[Secret, Secret], *, writable: bool) -> pkcs11.Session:
    """Open a session and log in; raises `VaultMissing`, `VaultUnlockError`, `VaultPinLocked`, `VaultUnavailable`."""
    where = str(token.module)
    try:
        found = _token(where, token.label)
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise VaultMissing(f"there is no token {token.label} in {where}: check the settings", path=where) from error
    token_errors.require_tries(found.flags, token.label, where)
    try:
        pin = "".join(half.reveal().decode() for half in pin_halves)
        return found.open(rw=writable, user_pin=pin)
    except (*token_errors.WRONG_PIN, pkcs11.PinLocked, UnicodeDecodeError) as error:
        raise token_errors.not_opened(error, _token(where, token.label).flags, token.label, where) from error
    except pkcs11.UserPinNotInitialized as error:
        raise VaultMissing(f"the token {token.label} in {where} is not initialised", path=where) from error
    except pkcs11.PKCS11Error as error:
        raise token_errors.translated(error) from error


def _token(module: str, label: str) -> pkcs11.Token:
    return pkcs11.lib(module).get_token(token_label=label)
