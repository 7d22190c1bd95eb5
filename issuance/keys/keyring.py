"""The keys of a vault and what each may be used for, by purpose and state.

Hides how versions are counted: a version number is never given twice, not even after its key was destroyed.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from card_io.ciphers import kcv_aes
from card_io.secret import Secret
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


@dataclass(frozen=True)
class KeyRecord:
    """A key with its material (None once destroyed)."""

    ref: KeyRef
    algorithm: KeyAlgorithm
    state: KeyState
    created_at: datetime
    check_value: str
    material: Secret | None
    uses: int = 0

    def info(self) -> KeyInfo:
        """Return what may be told."""
        return KeyInfo(self.ref, self.algorithm, self.state, self.created_at, self.check_value, self.uses)


class KeyRing:
    """All key versions of one vault."""

    def __init__(self, records: list[KeyRecord] | None = None) -> None:
        self._records = {record.ref: record for record in records or []}

    def copy(self) -> "KeyRing":
        """Return a ring that later changes of this one leave alone (the records themselves never change)."""
        return KeyRing(list(self._records.values()))

    def infos(self, purpose: KeyPurpose | None) -> list[KeyInfo]:
        """Tell about all keys, or those of one purpose, in order."""
        return [
            record.info() for ref, record in sorted(self._records.items()) if purpose is None or ref.purpose is purpose
        ]

    def add(self, purpose: KeyPurpose, algorithm: KeyAlgorithm, secret: Secret, now: datetime) -> KeyRef:
        """Add the next version, active at once; the active one before it is retired."""
        ref = self.add_ahead(purpose, algorithm, secret, now)
        self.move(ref, KeyEvent.ACTIVATE)
        return ref

    def add_ahead(self, purpose: KeyPurpose, algorithm: KeyAlgorithm, secret: Secret, now: datetime) -> KeyRef:
        """Add the next version, pre-active: it is known and certified before it works."""
        versions = [ref.version for ref in self._records if ref.purpose is purpose]
        ref = KeyRef(purpose, max(versions, default=0) + 1)
        if not material.fits(purpose, algorithm):
            raise UnusableKey(
                f"a key for {purpose} cannot be {algorithm}: choose another algorithm",
                purpose=purpose,
                version=ref.version,
            )
        value = _check_value(algorithm, secret)
        self._records[ref] = KeyRecord(ref, algorithm, KeyState.PRE_ACTIVE, now, value, secret)
        return ref

    def move(self, ref: KeyRef, event: KeyEvent) -> None:
        """Let an event happen to a key; a destroyed one loses its material, an activated one retires the one before."""
        record = self.get(ref)
        state = advance(ref, record.state, event)
        if state is KeyState.ACTIVE:
            for old, other in self._records.items():
                if old.purpose is ref.purpose and other.state is KeyState.ACTIVE:
                    self._records[old] = replace(other, state=advance(old, other.state, KeyEvent.RETIRE))
        kept = None if state is KeyState.DESTROYED else record.material
        self._records[ref] = replace(record, state=state, material=kept)

    def get(self, ref: KeyRef) -> KeyRecord:
        """Return a key's record; raises `UnknownKey`."""
        try:
            return self._records[ref]
        except KeyError:
            raise UnknownKey(
                f"the vault has no key {ref.purpose} version {ref.version}: is it the right vault, or an old copy?",
                purpose=ref.purpose,
                version=ref.version,
            ) from None

    def active(self, purpose: KeyPurpose) -> KeyRef:
        """Return the active version of a purpose; raises `UnknownKey`."""
        for ref, record in self._records.items():
            if ref.purpose is purpose and record.state is KeyState.ACTIVE:
                return ref
        raise UnknownKey(f"the vault holds no active key for {purpose}: make one first", purpose=purpose, version=None)

    def use(self, ref: KeyRef, work: Work, times: int) -> tuple[KeyRecord, Secret]:
        """Return a key for work, counting its uses; raises `UnusableKey` when purpose or state forbid it."""
        record = self.get(ref)
        if ref.purpose not in ALLOWED_PURPOSES[work]:
            raise UnusableKey(
                f"a key for {ref.purpose} is never used to {work}", purpose=ref.purpose, version=ref.version
            )
        if record.state not in ALLOWED_STATES[work] or record.material is None:
            raise UnusableKey(
                f"key {ref.purpose} version {ref.version} is {record.state} and may not be used to {work}",
                purpose=ref.purpose,
                version=ref.version,
            )
        self._records[ref] = replace(record, uses=record.uses + times)
        return record, record.material

    def to_json(self) -> list[dict[str, object]]:
        """Return all records as plain JSON values, material included: for sealing only."""
        return [
            {
                "purpose": record.ref.purpose.value,
                "version": record.ref.version,
                "algorithm": record.algorithm.value,
                "state": record.state.value,
                "created_at": record.created_at.isoformat(),
                "check_value": record.check_value,
                "material": record.material.reveal().hex() if record.material else None,
                "uses": record.uses,
            }
            for _, record in sorted(self._records.items())
        ]

    @classmethod
    def from_json(cls, items: list[dict[str, Any]]) -> "KeyRing":
        """Read what `to_json` gave; raises `KeyError` or `ValueError` for anything else."""
        return cls([_record(item) for item in items])


def _record(item: dict[str, Any]) -> KeyRecord:
    secret = item["material"]
    return KeyRecord(
        ref=KeyRef(KeyPurpose(item["purpose"]), item["version"]),
        algorithm=KeyAlgorithm(item["algorithm"]),
        state=KeyState(item["state"]),
        created_at=datetime.fromisoformat(item["created_at"]),
        check_value=item["check_value"],
        material=Secret(bytes.fromhex(secret)) if secret else None,
        uses=item["uses"],
    )


def _check_value(algorithm: KeyAlgorithm, secret: Secret) -> str:
    value = secret.reveal()
    if algorithm in {KeyAlgorithm.AES_128, KeyAlgorithm.AES_256}:
        return kcv_aes(value).hex().upper()
    return material.public_check_value(material.spki(material.load_private(value))).hex().upper()
