"""Three static keys of a security domain, named as GlobalPlatform names them.

Only the keeper of keys (a vault) and the card itself hold one; the host side of this room works with session keys.
"""

from dataclasses import dataclass

from card_io.secret import Secret


@dataclass(frozen=True, slots=True)
class KeySet:
    """Key-ENC, Key-MAC and Key-DEK (key identifiers 1, 2, 3 of one key version)."""

    enc: Secret
    mac: Secret
    dek: Secret

    @classmethod
    def same(cls, key: Secret) -> "KeySet":
        """One key in all three places, as chips leave some factories."""
        return cls(key, key, key)

    def in_order(self) -> tuple[Secret, Secret, Secret]:
        """The keys by key identifier: 1, 2, 3."""
        return self.enc, self.mac, self.dek


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The keys of one secure channel. `dek` is the session DEK of SCP02; SCP03 has none, its DEK is static."""

    enc: Secret
    mac: Secret
    rmac: Secret
    dek: Secret | None = None
