"""Key sets of a security domain: static keys by version, the count of failed authentications, sequence counters.

GlobalPlatform 2.3.1, 7.5 and 11.8; Amendment D 1.2, 6.1. A set has one type (3DES or AES) and three keys: 01 ENC, 02
MAC,
03 DEK. `FIRST_VERSION` FF is what a maker leaves on a blank: it goes away with the first set that is put beside it.
"""

from dataclasses import dataclass
from typing import Final

from card_io.secret import Secret
from card_io.virtual.memory import Area, Value
from card_io.virtual.primitives import check_value

TYPE_DES: Final = 0x80
TYPE_AES: Final = 0x88
FIRST_VERSION: Final = 0xFF
TRIES: Final = 10


@dataclass(frozen=True)
class KeySet:
    """Three static keys of one type and version; 16 bytes each for 3DES, 16, 24 or 32 for AES."""

    enc: Secret
    mac: Secret
    dek: Secret
    version: int = FIRST_VERSION
    key_type: int = TYPE_AES

    def __post_init__(self) -> None:
        sizes = {len(self.enc), len(self.mac), len(self.dek)}
        allowed = {16} if self.key_type == TYPE_DES else {16, 24, 32}
        if self.key_type not in {TYPE_DES, TYPE_AES} or len(sizes) != 1 or not sizes <= allowed:
            raise ValueError(
                "a key set is three 3DES keys of 16 bytes or three AES keys of 16, 24 or 32; check the lengths"
            )
        if not 1 <= self.version <= 0xFF:
            raise ValueError("a key version is 1 to 127, or 255 on a blank; give another")

    @property
    def aes(self) -> bool:
        """AES rather than 3DES."""
        return self.key_type == TYPE_AES

    def keys(self) -> tuple[bytes, bytes, bytes]:
        """The three values in the order of their identifiers."""
        return self.enc.reveal(), self.mac.reveal(), self.dek.reveal()

    def check_values(self) -> bytes:
        """Three key check values of 3 bytes, one after the other."""
        return b"".join(check_value(key, aes=self.aes) for key in self.keys())


class KeyStore:
    """The key sets in the domain's memory."""

    def __init__(self, area: Area) -> None:
        self._area = area

    def versions(self) -> list[int]:
        """Versions present, lowest first."""
        return sorted(int(name.removeprefix("key/"), 16) for name in self._area.names("key/"))

    def get(self, version: int) -> KeySet | None:
        """The set of a version; version 00 is the first one there is."""
        if version == 0:
            present = self.versions()
            if not present:
                return None
            version = present[0]
        row = self._area.row(f"key/{version:02x}")
        return None if row is None else _from_row(version, row)

    def put(self, keys: KeySet, replaced: int | None = None) -> None:
        """Store a set anew: its counters start over, `replaced` and the maker's first set go."""
        for version in {replaced, FIRST_VERSION} - {None, keys.version}:
            self.delete(int(version or 0))
        self._area.put(f"key/{keys.version:02x}", (keys.key_type, *keys.keys()))
        self._area.put(f"tries/{keys.version:02x}", TRIES)
        self._area.put(f"counter/{keys.version:02x}", 0)

    def delete(self, version: int) -> None:
        """Delete a set and its counters."""
        for kind in ("key", "tries", "counter"):
            self._area.delete(f"{kind}/{version:02x}")

    def tries_left(self, version: int) -> int:
        """Authentications that may still fail with this set."""
        return self._area.integer(f"tries/{version:02x}")

    def count_try(self, version: int) -> None:
        """Count one down, durably, before the cryptogram is looked at."""
        self._area.put(f"tries/{version:02x}", self.tries_left(version) - 1)
        self._area.checkpoint()

    def forgive(self, version: int) -> None:
        """All tries again after a success."""
        self._area.put(f"tries/{version:02x}", TRIES)

    def counter(self, version: int) -> int:
        """The sequence counter of the set."""
        return self._area.integer(f"counter/{version:02x}")

    def set_counter(self, version: int, value: int) -> None:
        """Set the sequence counter."""
        self._area.put(f"counter/{version:02x}", value)


def _from_row(version: int, row: tuple[Value, ...]) -> KeySet:
    key_type = row[0]
    values = [Secret(item) for item in row[1:] if isinstance(item, bytes)]
    return KeySet(values[0], values[1], values[2], version, key_type if isinstance(key_type, int) else TYPE_AES)
