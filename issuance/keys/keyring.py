"""The keys of a vault and what each may be used for, by purpose and state.

Hides how versions are counted: a version number is never given twice, not even after its key was destroyed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from issuance.errors import UnknownKey, UnusableKey
from issuance.keys import material
from issuance.keys.lifecycle import KeyEvent, advance
from issuance.keys.port import KeyAlgorithm, KeyInfo, KeyPurpose, KeyRef, KeyState


class Work(StrEnum):
    """What a key may be asked to do."""

    SIGN = "sign"
    OPEN_CARD = "open-card"
    KEY_CARD = "key-card"
    DERIVE_PINS = "derive-pins"


# A retired signature key still signs the revocation lists of what it issued; a compromised card master still opens
# cards, because that is how they are moved to the next one.
ALLOWED_STATES: dict[Work, frozenset[KeyState]] = {
    Work.SIGN: frozenset({KeyState.ACTIVE, KeyState.RETIRED}),
    Work.OPEN_CARD: frozenset({KeyState.ACTIVE, KeyState.RETIRED, KeyState.COMPROMISED}),
    Work.KEY_CARD: frozenset({KeyState.ACTIVE}),
    Work.DERIVE_PINS: frozenset({KeyState.ACTIVE, KeyState.RETIRED}),
}
ALLOWED_PURPOSES: dict[Work, frozenset[KeyPurpose]] = {
    Work.SIGN: frozenset(KeyPurpose) - material.SYMMETRIC_PURPOSES,
    Work.OPEN_CARD: frozenset({KeyPurpose.CARD_MASTER, KeyPurpose.BLANK_TRANSPORT}),
    Work.KEY_CARD: frozenset({KeyPurpose.CARD_MASTER}),
    Work.DERIVE_PINS: frozenset({KeyPurpose.PIN_MASTER}),
}


class KeyRing:
    """All key versions of one vault, without their material."""

    def __init__(self, infos: Iterable[KeyInfo] = ()) -> None:
        self._infos = {info.ref: info for info in infos}

    def copy(self) -> "KeyRing":
        """Return a ring that later changes of this one leave alone."""
        return KeyRing(self._infos.values())

    def infos(self, purpose: KeyPurpose | None) -> list[KeyInfo]:
        """Tell about all keys, or those of one purpose, in order."""
        return [info for ref, info in sorted(self._infos.items()) if purpose is None or ref.purpose is purpose]

    def next_ref(self, purpose: KeyPurpose, algorithm: KeyAlgorithm) -> KeyRef:
        """Return the next version's reference; raises `UnusableKey` when the algorithm does not fit the purpose."""
        versions = [ref.version for ref in self._infos if ref.purpose is purpose]
        ref = KeyRef(purpose, max(versions, default=0) + 1)
        if not material.fits(purpose, algorithm):
            raise UnusableKey(
                f"a key for {purpose} cannot be {algorithm}: choose another algorithm",
                purpose=purpose,
                version=ref.version,
            )
        return ref

    def add(self, ref: KeyRef, algorithm: KeyAlgorithm, check_value: str, now: datetime) -> None:
        """Add a version, pre-active: it is known and can be certified before it works."""
        self._infos[ref] = KeyInfo(ref, algorithm, KeyState.PRE_ACTIVE, now, check_value, uses=0)

    def move(self, ref: KeyRef, event: KeyEvent) -> None:
        """Let an event happen to a key; an activated one retires the one before."""
        info = self.get(ref)
        state = advance(ref, info.state, event)
        if state is KeyState.ACTIVE:
            for old, other in self._infos.items():
                if old.purpose is ref.purpose and other.state is KeyState.ACTIVE:
                    self._infos[old] = replace(other, state=advance(old, other.state, KeyEvent.RETIRE))
        self._infos[ref] = replace(info, state=state)

    def get(self, ref: KeyRef) -> KeyInfo:
        """Tell about a key; raises `UnknownKey`."""
        try:
            return self._infos[ref]
        except KeyError:
            raise UnknownKey(
                f"the vault has no key {ref.purpose} version {ref.version}: is it the right vault, or an old copy?",
                purpose=ref.purpose,
                version=ref.version,
            ) from None

    def active(self, purpose: KeyPurpose) -> KeyRef:
        """Return the active version of a purpose; raises `UnknownKey`."""
        for ref, info in self._infos.items():
            if ref.purpose is purpose and info.state is KeyState.ACTIVE:
                return ref
        raise UnknownKey(f"the vault holds no active key for {purpose}: make one first", purpose=purpose, version=None)

    def use(self, ref: KeyRef, work: Work, times: int) -> KeyInfo:
        """Count uses of a key for some work; raises `UnusableKey` when purpose or state forbid it."""
        info = self.get(ref)
        if ref.purpose not in ALLOWED_PURPOSES[work]:
            raise UnusableKey(
                f"a key for {ref.purpose} is never used to {work}", purpose=ref.purpose, version=ref.version
            )
        if info.state not in ALLOWED_STATES[work]:
            raise UnusableKey(
                f"key {ref.purpose} version {ref.version} is {info.state} and may not be used to {work}",
                purpose=ref.purpose,
                version=ref.version,
            )
        self._infos[ref] = replace(info, uses=info.uses + times)
        return info

    def to_json(self) -> list[tuple[KeyRef, dict[str, Any]]]:
        """Return what is known about each key as plain JSON values, in order."""
        return [
            (
                ref,
                {
                    "purpose": ref.purpose.value,
                    "version": ref.version,
                    "algorithm": info.algorithm.value,
                    "state": info.state.value,
                    "created_at": info.created_at.isoformat(),
                    "check_value": info.check_value,
                    "uses": info.uses,
                },
            )
            for ref, info in sorted(self._infos.items())
        ]

    @classmethod
    def from_json(cls, items: Iterable[Mapping[str, Any]]) -> "KeyRing":
        """Read what `to_json` gave; raises `KeyError` or `ValueError` for anything else."""
        return cls(
            KeyInfo(
                ref=KeyRef(KeyPurpose(item["purpose"]), item["version"]),
                algorithm=KeyAlgorithm(item["algorithm"]),
                state=KeyState(item["state"]),
                created_at=datetime.fromisoformat(item["created_at"]),
                check_value=item["check_value"],
                uses=item["uses"],
            )
            for item in items
        )
