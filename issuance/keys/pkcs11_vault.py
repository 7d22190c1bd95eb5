"""The vault in a token of any PKCS#11 module: an HSM, or SoftHSM2.

Hides opening and logging in. The user PIN is two halves, one for each custodian, so that neither opens it alone. A lock
file keeps a second process out: the token would let it in, and both would write the ring of keys.
"""

import secrets
from typing import Self

from card_io.secret import Secret
from issuance.errors import VaultDamaged, VaultExists, VaultMissing
from issuance.keys import storage
from issuance.keys.engine import Clock, VaultEngine
from issuance.keys.keyring import KeyRing
from issuance.keys.pkcs11_chest import Pkcs11Chest
from issuance.keys.port import KeyState, VaultIdentity
from issuance.keys.signing_pool import SigningPool
from issuance.keys.tokens import Token, login


class Pkcs11Vault(VaultEngine):
    """A `Vault` in a token of a PKCS#11 module."""

    @classmethod
    def create(cls, token: Token, pin_halves: tuple[Secret, Secret], *, clock: Clock | None = None) -> Self:
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
        return cls(chest, identity, ring, clock=clock)

    @classmethod
    def unlock(
        cls, token: Token, pin_halves: tuple[Secret, Secret], *, signers: int = 0, clock: Clock | None = None
    ) -> Self:
        """Open the vault in a token; with `signers`, so many processes make the signatures (see `signing_pool`).

        Raises `VaultMissing`, `VaultUnlockError`, `VaultPinLocked`, `VaultBusy`, and `VaultDamaged` for a missing key.
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
            if signers:
                chest.sign_by(SigningPool(token, pin_halves, signers))
        except BaseException:
            chest.close()
            raise
        return cls(chest, *loaded, clock=clock)


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
        session = login(token, pin_halves, writable=True)
        return Pkcs11Chest(session, owner.close, extractable=token.extractable)
    except BaseException:
        owner.close()
        raise
