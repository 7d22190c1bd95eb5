"""The vault in an encrypted file: the embedded default, opened by two custodians' passphrases.

Hides sealing and the file. Keys are in this process's memory while it is open, so only the vault process opens it;
others ask over its socket.
"""

import json
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Self

from card_io.ciphers import aes_cmac
from card_io.secret import Secret
from issuance.errors import VaultDamaged
from issuance.keys import backup, material, sealing, storage
from issuance.keys.engine import Clock, VaultEngine
from issuance.keys.keyring import KeyRing
from issuance.keys.port import KeyAlgorithm, KeyRef, VaultIdentity


class FileChest:
    """Key material in memory, sealed into a file at every save."""

    signs_beside = False

    def __init__(self, path: Path, owner: IO[bytes], seal: sealing.Seal, keys: dict[KeyRef, Secret]) -> None:
        """Take an opened seal and the material it held; `owner` is the lock on the file."""
        self._path, self._owner, self.seal, self._keys = path, owner, seal, keys
        self._loaded: dict[KeyRef, material.PrivateKey] = {}
        self._encryptors: dict[KeyRef, Callable[[bytes | memoryview, memoryview], object]] = {}

    def make(self, ref: KeyRef, algorithm: KeyAlgorithm) -> str:
        """Make a key from the operating system's generator; returns its check value."""
        key = Secret(material.make(algorithm))
        if ref.purpose in material.SYMMETRIC_PURPOSES:
            return self.put(ref, algorithm, key)
        self._keys[ref] = key
        return material.public_check_value(self.public_key(ref)).hex().upper()

    def put(self, ref: KeyRef, algorithm: KeyAlgorithm, key: Secret) -> str:
        """Take a symmetric key in; returns its check value."""
        self._keys[ref] = key
        self._encryptors.pop(ref, None)
        return material.symmetric_check_value(key, algorithm)

    def drop(self, ref: KeyRef) -> None:
        """Forget a key; the file has lost it already."""
        self._keys.pop(ref, None)
        self._loaded.pop(ref, None)
        self._encryptors.pop(ref, None)

    def public_key(self, ref: KeyRef) -> bytes:
        """Return the SubjectPublicKeyInfo of a signature key."""
        return material.spki(self._private(ref))

    def sign(self, ref: KeyRef, algorithm: KeyAlgorithm, messages: Sequence[bytes]) -> list[bytes]:
        """Sign messages."""
        return material.sign(self._private(ref), algorithm, messages)

    def sign_digests(self, ref: KeyRef, algorithm: KeyAlgorithm, digests: Sequence[bytes]) -> list[bytes]:
        """Sign digests."""
        return material.sign_digests(self._private(ref), algorithm, digests)

    def cmac(self, ref: KeyRef, messages: Sequence[bytes]) -> list[bytes]:
        """Compute the AES-CMAC of each message."""
        key = self._keys[ref].reveal()
        return [aes_cmac(key, message) for message in messages]

    def encrypt(self, ref: KeyRef, algorithm: KeyAlgorithm, blocks: bytes | memoryview, into: memoryview) -> None:
        """Encipher whole blocks, each by itself."""
        if ref not in self._encryptors:
            self._encryptors[ref] = material.encryptor(self._keys[ref], algorithm)
        self._encryptors[ref](blocks, into)

    def wrap(self, ref: KeyRef, wrapping: Secret) -> bytes:
        """Wrap a key for another vault."""
        return backup.wrap(wrapping, self._keys[ref].reveal())

    def unwrap(
        self, ref: KeyRef, algorithm: KeyAlgorithm, wrapped: bytes, public_key: bytes | None, wrapping: Secret
    ) -> str:
        """Take a wrapped key in; returns its check value. What the public key is follows from the private one."""
        key = Secret(backup.unwrap(wrapping, wrapped))
        if public_key is None:
            return self.put(ref, algorithm, key)
        self._keys[ref] = key
        self._loaded.pop(ref, None)
        return material.public_check_value(self.public_key(ref)).hex().upper()

    def random(self, size_bytes: int) -> bytes:
        """Return random bytes of the operating system."""
        return secrets.token_bytes(size_bytes)

    def save(self, ring: KeyRing, identity: VaultIdentity) -> None:
        """Seal everything into the file; destroyed keys are left out."""
        kept = {info.ref for info in ring.infos(None) if info.state != "destroyed"}
        keys = [
            {**item, "material": self._keys[ref].reveal().hex() if ref in kept else None}
            for ref, item in ring.to_json()
        ]
        content = {
            "vault_id": identity.vault_id,
            "generation": identity.generation,
            "seen": ring.seen.isoformat() if ring.seen else None,
            "keys": keys,
        }
        storage.write(self._path, sealing.seal(self.seal, json.dumps(content).encode()))

    def reseal(self, passphrases: tuple[Secret, Secret], cost: sealing.ScryptCost) -> None:
        """Seal what is saved from now on under other passphrases and another data key; raises `WeakPassphrase`."""
        self.seal = sealing.new_seal(passphrases, cost)

    def close(self) -> None:
        """Forget the keys and let another process open the file."""
        self._keys, self._loaded, self._encryptors = {}, {}, {}
        self.seal = sealing.Seal(Secret(b""), {})
        self._owner.close()

    def _private(self, ref: KeyRef) -> material.PrivateKey:
        if ref not in self._loaded:
            self._loaded[ref] = material.load_private(self._keys[ref].reveal())
        return self._loaded[ref]


class FileVault(VaultEngine):
    """A `Vault` in a file. Make one with `create`, open one with `unlock`; close it to let others open it."""

    def __init__(self, chest: FileChest, identity: VaultIdentity, ring: KeyRing, *, clock: Clock | None = None) -> None:
        """Take an open file and what it holds."""
        super().__init__(chest, identity, ring, clock=clock)
        self._file = chest

    @classmethod
    def create(
        cls,
        path: Path,
        passphrases: tuple[Secret, Secret],
        *,
        cost: sealing.ScryptCost = sealing.ScryptCost(),  # noqa: B008 - frozen
        clock: Clock | None = None,
    ) -> Self:
        """Make an empty vault at `path` and open it.

        Raises `VaultExists`, `WeakPassphrase`, `VaultFull`.
        """
        owner = storage.lock(path)
        try:
            storage.require_absent(path)
            chest = FileChest(path, owner, sealing.new_seal(passphrases, cost), {})
            identity, ring = VaultIdentity(secrets.token_hex(8), 0), KeyRing()
            chest.save(ring, identity)
        except BaseException:
            owner.close()
            raise
        return cls(chest, identity, ring, clock=clock)

    def reseal(
        self,
        passphrases: tuple[Secret, Secret],
        *,
        cost: sealing.ScryptCost = sealing.ScryptCost(),  # noqa: B008 - frozen
    ) -> None:
        """Give the vault new passphrases; neither the file nor its previous copy opens with the old ones after that.

        Raises `WeakPassphrase`, `VaultFull`; the old ones open it then.
        """
        with self._open():
            seal = self._file.seal
            try:
                self._file.reseal(passphrases, cost)
                self._save()
            except BaseException:
                self._file.seal = seal
                raise
            self._save()  # the previous copy is under the new ones too

    @classmethod
    def unlock(cls, path: Path, passphrases: tuple[Secret, Secret], *, clock: Clock | None = None) -> Self:
        """Open the vault at `path` with the first and the second custodian's passphrase.

        Raises `VaultUnlockError`, `VaultMissing`, `VaultDamaged`, `VaultBusy`.
        """
        owner = storage.lock(path)
        try:
            seal, content = sealing.unseal(storage.read(path), passphrases)
            parsed = json.loads(content)
            ring = KeyRing.from_json(parsed["keys"], parsed.get("seen"))
            infos = ring.infos(None)
            keys = {
                info.ref: Secret(bytes.fromhex(item["material"]))
                for info, item in zip(infos, parsed["keys"], strict=True)
                if item["material"]
            }
            identity = VaultIdentity(parsed["vault_id"], parsed["generation"])
        except (sealing.Damaged, KeyError, ValueError) as error:
            owner.close()
            raise VaultDamaged(
                f"the vault {path} cannot be read ({error}): restore it from a backup", path=str(path), previous=None
            ) from error
        except BaseException:
            owner.close()
            raise
        return cls(FileChest(path, owner, seal, keys), identity, ring, clock=clock)
