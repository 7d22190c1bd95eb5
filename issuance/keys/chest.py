"""The port behind the vault: where key material lies, an encrypted file or a token."""

from collections.abc import Sequence
from typing import Protocol

from card_io.secret import Secret
from issuance.keys.keyring import KeyRing
from issuance.keys.port import KeyAlgorithm, KeyRef, VaultIdentity


class Chest(Protocol):
    """Where key material lies. It knows keys by reference, and nothing of states and purposes."""

    @property
    def signs_beside(self) -> bool:
        """Whether signatures may be asked for from several threads, beside other work."""
        ...

    def make(self, ref: KeyRef, algorithm: KeyAlgorithm) -> str:
        """Make a key inside; returns its check value."""
        ...

    def put(self, ref: KeyRef, algorithm: KeyAlgorithm, key: Secret) -> str:
        """Take a symmetric key in; returns its check value."""
        ...

    def drop(self, ref: KeyRef) -> None:
        """Destroy a key's material, if there is any."""
        ...

    def public_key(self, ref: KeyRef) -> bytes:
        """Return the SubjectPublicKeyInfo of a signature key."""
        ...

    def sign(self, ref: KeyRef, algorithm: KeyAlgorithm, messages: Sequence[bytes]) -> list[bytes]:
        """Sign messages."""
        ...

    def sign_digests(self, ref: KeyRef, algorithm: KeyAlgorithm, digests: Sequence[bytes]) -> list[bytes]:
        """Sign digests; raises `ValueError` when the algorithm or a length does not allow it."""
        ...

    def cmac(self, ref: KeyRef, messages: Sequence[bytes]) -> list[bytes]:
        """Compute the AES-CMAC of each message."""
        ...

    def encrypt(self, ref: KeyRef, algorithm: KeyAlgorithm, blocks: bytes | memoryview, into: memoryview) -> None:
        """Encipher whole blocks, each by itself (ECB), to the front of `into`, which has room for one block more."""
        ...

    def wrap(self, ref: KeyRef, wrapping: Secret) -> bytes:
        """Wrap a key for another vault."""
        ...

    def unwrap(
        self, ref: KeyRef, algorithm: KeyAlgorithm, wrapped: bytes, public_key: bytes | None, wrapping: Secret
    ) -> str:
        """Take a wrapped key in; returns its check value."""
        ...

    def random(self, size_bytes: int) -> bytes:
        """Return random bytes."""
        ...

    def save(self, ring: KeyRing, identity: VaultIdentity) -> None:
        """Make what is known about the keys durable, and the keys with it; raises `VaultFull`, nothing changed then."""
        ...

    def close(self) -> None:
        """Forget the keys."""
        ...
