"""The vault in a token of any PKCS#11 module: an HSM, or SoftHSM2.

Hides opening and logging in. The user PIN is two halves, one for each custodian, so that neither opens it alone. A lock
file keeps a second process out: the token would let it in, and both would write the ring of keys.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pkcs11

from card_io.secret import Secret
from issuance.errors import VaultDamaged, VaultExists, VaultMissing, VaultUnlockError
from issuance.keys import storage
from issuance.keys.engine import VaultEngine
from issuance.keys.keyring import KeyRing
from issuance.keys.pkcs11_chest import Pkcs11Chest
from issuance.keys.port import KeyState, VaultIdentity

_WRONG_PIN = (pkcs11.PinIncorrect, pkcs11.PinLenRange, pkcs11.PinInvalid, pkcs11.PinLocked, pkcs11.ArgumentsBad)


@dataclass(frozen=True)
class Token:
    """Where a vault's keys lie: module, token label, the path whose lock says who has it open.

    `extractable`: whether keys made there can be backed up (wrapped under a transport key; never in clear).
    """

    module: Path
    label: str
    lock_path: Path
    extractable: bool = True


class Pkcs11Vault(VaultEngine):
    """A `Vault` in a token of a PKCS#11 module."""

    @classmethod
    def create(cls, token: Token, pin_halves: tuple[Secret, Secret]) -> Self:
        """Begin an empty vault in an initialised token.

        Raises `VaultExists`, `VaultMissing`, `VaultUnlockError`, `VaultBusy`.
        """
        chest = _open(token, pin_halves)
        try:
            if chest.load() is not None:
                raise VaultExists(f"the token {token.label} holds a vault already", path=str(token.module))
            identity, ring = VaultIdentity(secrets.token_hex(8), 0), KeyRing()
            chest.save(ring, identity)
        except BaseException:
            chest.close()
            raise
        return cls(chest, identity, ring)

    @classmethod
    def unlock(cls, token: Token, pin_halves: tuple[Secret, Secret]) -> Self:
        """Open the vault in a token.

        Raises `VaultMissing`, `VaultUnlockError`, `VaultBusy`, and `VaultDamaged` for a missing key.
        """
        chest = _open(token, pin_halves)
        try:
            loaded = chest.load()
            if loaded is None:
                raise VaultMissing(f"the token {token.label} holds no vault: make one", path=str(token.module))
            for info in loaded[1].infos(None):
                if info.state is not KeyState.DESTROYED and not chest.holds(info.ref):
                    raise VaultDamaged(
                        f"the token {token.label} has lost {info.ref.purpose} version {info.ref.version}: restore it",
                        path=str(token.module),
                        previous=None,
                    )
        except BaseException:
            chest.close()
            raise
        return cls(chest, *loaded)


def holds_vault(token: Token, pin_halves: tuple[Secret, Secret]) -> bool:
    """Tell whether a vault was begun in the token; raises what `Pkcs11Vault.unlock` raises for a token not to open."""
    chest = _open(token, pin_halves)
    try:
        return chest.load() is not None
    finally:
        chest.close()


def _open(token: Token, pin_halves: tuple[Secret, Secret]) -> Pkcs11Chest:
    owner = storage.lock(token.lock_path)
    try:
        return Pkcs11Chest(_login(token, pin_halves), owner.close, extractable=token.extractable)
    except BaseException:
        owner.close()
        raise


def _login(token: Token, pin_halves: tuple[Secret, Secret]) -> pkcs11.Session:
    where = str(token.module)
    try:
        found = pkcs11.lib(where).get_token(token_label=token.label)
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise VaultMissing(f"there is no token {token.label} in {where}: check the settings", path=where) from error
    try:
        pin = "".join(half.reveal().decode() for half in pin_halves)
        return found.open(rw=True, user_pin=pin)
    except (*_WRONG_PIN, UnicodeDecodeError) as error:
        raise VaultUnlockError(
            f"the token {token.label} does not open: both custodians type their half of its PIN again; "
            "a few more mistakes lock it",
            path=where,
        ) from error
    except pkcs11.PKCS11Error as error:
        raise VaultMissing(f"the token {token.label} in {where} is not initialised", path=where) from error
