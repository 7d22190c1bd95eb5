"""The vault in an encrypted file: the embedded default, opened by two custodians' passphrases.

Hides sealing, saving and counting. Every change is on the disk before the caller hears of it. Keys are in this
process's memory while it is open, so only the vault process opens it; others ask over its socket.
"""

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Self, TypeVar

from card_io.ciphers import kcv_aes
from card_io.keyset import SessionKeys
from card_io.secret import Secret
from issuance.errors import BadComponent, UnusableKey, VaultDamaged, VaultError, VaultLocked
from issuance.keys import card_keys, material, sealing, storage
from issuance.keys.keyring import KeyRing, Work
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.port import (
    CardSessionRequest,
    KeyAlgorithm,
    KeyInfo,
    KeyPurpose,
    KeyRef,
    PutKeyData,
    PutKeyRequest,
    VaultIdentity,
)

Result = TypeVar("Result")

_MAX_RANDOM_BYTES = 1 << 20
_SAVE_AFTER_USES = 50_000


class FileVault:
    """A `Vault` in a file. Make one with `create`, open one with `unlock`; close it to let others open it."""

    def __init__(
        self, path: Path, owner: IO[bytes], seal: sealing.Seal, identity: VaultIdentity, ring: KeyRing
    ) -> None:
        """Use `create` or `unlock` instead."""
        self._path, self._owner, self._seal = path, owner, seal
        self._identity, self._ring = identity, ring
        self._private: dict[KeyRef, material.PrivateKey] = {}
        self._unsaved_uses = 0
        self._guard = threading.RLock()

    @classmethod
    def create(
        cls,
        path: Path,
        passphrases: tuple[Secret, Secret],
        *,
        cost: sealing.ScryptCost = sealing.ScryptCost(),  # noqa: B008 - frozen
    ) -> Self:
        """Make an empty vault at `path` and open it.

        Raises `VaultExists`, `WeakPassphrase`, `VaultFull`.
        """
        owner = storage.lock(path)
        try:
            storage.require_absent(path)
            identity = VaultIdentity(secrets.token_hex(8), 0)
            vault = cls(path, owner, sealing.new_seal(passphrases, cost), identity, KeyRing())
            vault._save()
        except BaseException:
            owner.close()
            raise
        return vault

    @classmethod
    def unlock(cls, path: Path, passphrases: tuple[Secret, Secret]) -> Self:
        """Open the vault at `path` with the first and the second custodian's passphrase.

        Raises `VaultUnlockError`, `VaultMissing`, `VaultDamaged`, `VaultBusy`.
        """
        owner = storage.lock(path)
        try:
            seal, content = sealing.unseal(storage.read(path), passphrases)
            parsed = json.loads(content)
            identity = VaultIdentity(parsed["vault_id"], parsed["generation"])
            ring = KeyRing.from_json(parsed["keys"])
        except (sealing.Damaged, KeyError, ValueError) as error:
            owner.close()
            raise VaultDamaged(
                f"the vault {path} cannot be read ({error}): restore it from a backup", path=str(path), previous=None
            ) from error
        except BaseException:
            owner.close()
            raise
        return cls(path, owner, seal, identity, ring)

    def __enter__(self) -> Self:
        """Use the vault and close it at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Save the counts, forget the keys, and let another process open the vault."""
        with self._guard:
            if self._owner.closed:
                return
            try:
                if self._unsaved_uses:
                    self._save()
            finally:
                self._ring, self._private = KeyRing(), {}
                self._owner.close()

    def identity(self) -> VaultIdentity:
        """Return which vault this is and its generation."""
        with self._open():
            return self._identity

    def generate(self, purpose: KeyPurpose, algorithm: KeyAlgorithm, *, now: datetime) -> KeyRef:
        """Make a new key version, active at once; the version that was active is retired."""
        return self._change(lambda: self._ring.add(purpose, algorithm, Secret(material.make(algorithm)), now))

    def generate_ahead(self, purpose: KeyPurpose, algorithm: KeyAlgorithm, *, now: datetime) -> KeyRef:
        """Make a new key version that is pre-active: it can be certified, and works once it is moved to active."""
        return self._change(lambda: self._ring.add_ahead(purpose, algorithm, Secret(material.make(algorithm)), now))

    def import_key(
        self,
        purpose: KeyPurpose,
        algorithm: KeyAlgorithm,
        components: tuple[Secret, ...],
        *,
        check_value: str,
        now: datetime,
    ) -> KeyRef:
        """Put a symmetric key together from two or more components (XOR), each entered by its own custodian.

        `check_value`: 6 hex digits that came with the key. Raises `BadComponent`; nothing is changed then.
        """
        if not material.fits(purpose, algorithm) or purpose not in material.SYMMETRIC_PURPOSES:
            raise UnusableKey(f"{purpose} takes no imported {algorithm} key: check both", purpose=purpose, version=0)
        key = card_keys.combine(components, material.size_of(algorithm))
        found = kcv_aes(key.reveal()).hex().upper()
        if found != check_value.upper():
            raise BadComponent(
                f"the components give check value {found}, not {check_value.upper()}: one of them was mistyped"
            )
        return self._change(lambda: self._ring.add(purpose, algorithm, key, now))

    def move(self, ref: KeyRef, event: KeyEvent) -> None:
        """Let an event happen to a key (activate, retire, compromise, destroy); raises `UnusableKey`, `UnknownKey`."""

        def moved() -> None:
            self._ring.move(ref, event)
            self._private.pop(ref, None)

        self._change(moved)

    def describe(self, purpose: KeyPurpose | None = None) -> list[KeyInfo]:
        """Tell about all keys, or those of one purpose, by purpose and version."""
        with self._open():
            return self._ring.infos(purpose)

    def active(self, purpose: KeyPurpose) -> KeyRef:
        """Return the active version; raises `UnknownKey` when there is none."""
        with self._open():
            return self._ring.active(purpose)

    def public_key(self, ref: KeyRef) -> bytes:
        """Return the SubjectPublicKeyInfo in DER; a destroyed or symmetric key has none (`UnusableKey`)."""
        with self._open():
            record = self._ring.get(ref)
            if record.material is None or ref.purpose in material.SYMMETRIC_PURPOSES:
                raise UnusableKey(
                    f"key {ref.purpose} version {ref.version} has no public key",
                    purpose=ref.purpose,
                    version=ref.version,
                )
            return material.spki(self._private_key(ref, record.material))

    def sign(self, ref: KeyRef, messages: Sequence[bytes]) -> list[bytes]:
        """Sign each message: ECDSA in DER, RSA PKCS #1 v1.5, or Ed25519."""
        with self._used(ref, Work.SIGN, len(messages)) as (algorithm, secret):
            return material.sign(self._private_key(ref, secret), algorithm, messages)

    def sign_digests(self, ref: KeyRef, digests: Sequence[bytes]) -> list[bytes]:
        """Sign digests that the caller made with the key's hash. Not for Ed25519."""
        with self._used(ref, Work.SIGN, len(digests)) as (algorithm, secret):
            try:
                return material.sign_digests(self._private_key(ref, secret), algorithm, digests)
            except ValueError as error:
                raise UnusableKey(
                    f"key {ref.purpose} version {ref.version} cannot sign these digests: {error}",
                    purpose=ref.purpose,
                    version=ref.version,
                ) from error

    def card_sessions(self, requests: Sequence[CardSessionRequest]) -> list[SessionKeys]:
        """Derive session keys after checking each card's cryptogram; a mismatch raises `WrongCardKeys`."""
        sessions = []
        for request in requests:
            with self._used(request.master, Work.OPEN_CARD, 1) as (_, master):
                sessions.append(card_keys.session_keys(master, request))
        return sessions

    def card_session(self, request: CardSessionRequest) -> SessionKeys:
        """Derive session keys for one card; see `card_sessions`."""
        return self.card_sessions([request])[0]

    def put_key_data(self, requests: Sequence[PutKeyRequest]) -> list[PutKeyData]:
        """Wrap each card's new static keys under its current DEK."""
        wrapped = []
        for request in requests:
            with (
                self._used(request.current, Work.OPEN_CARD, 1) as (_, current),
                self._used(request.new, Work.KEY_CARD, 1) as (_, new),
            ):
                wrapped.append(card_keys.put_key_data(current, new, request))
        return wrapped

    def transport_pins(self, ref: KeyRef, card_number: str, digits: Mapping[str, int]) -> dict[str, Secret]:
        """Derive a card's transport PINs; `digits` names each and its length; ASCII digits come back."""
        with self._used(ref, Work.DERIVE_PINS, 1) as (_, master):
            return {name: card_keys.transport_pin(master, card_number, name, size) for name, size in digits.items()}

    def random(self, size_bytes: int) -> bytes:
        """Return random bytes, at most a megabyte at once."""
        if not 0 <= size_bytes <= _MAX_RANDOM_BYTES:
            raise VaultError(f"ask for 0 to {_MAX_RANDOM_BYTES} random bytes at once, not {size_bytes}")
        return secrets.token_bytes(size_bytes)

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._guard:
            if self._owner.closed:
                raise VaultLocked("the vault is locked: two custodians must unlock it again")
            yield

    @contextmanager
    def _used(self, ref: KeyRef, work: Work, times: int) -> Iterator[tuple[KeyAlgorithm, Secret]]:
        with self._open():
            record, secret = self._ring.use(ref, work, times)
            self._unsaved_uses += times
            if self._unsaved_uses >= _SAVE_AFTER_USES:
                self._save()
            yield record.algorithm, secret

    def _private_key(self, ref: KeyRef, secret: Secret) -> material.PrivateKey:
        if ref not in self._private:
            self._private[ref] = material.load_private(secret.reveal())
        return self._private[ref]

    def _change(self, change: Callable[[], Result]) -> Result:
        """Change the ring and save it; when it cannot be saved, nothing has changed."""
        with self._open():
            before, identity = self._ring.copy(), self._identity
            try:
                result = change()
                self._identity = VaultIdentity(identity.vault_id, identity.generation + 1)
                self._save()
            except BaseException:
                self._ring, self._identity = before, identity
                raise
            return result

    def _save(self) -> None:
        content = {
            "vault_id": self._identity.vault_id,
            "generation": self._identity.generation,
            "keys": self._ring.to_json(),
        }
        storage.write(self._path, sealing.seal(self._seal, json.dumps(content).encode()))
        self._unsaved_uses = 0
