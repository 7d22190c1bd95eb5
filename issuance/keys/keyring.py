"""The keys of a vault and what each may be used for, by purpose and state.

Hides how versions and uses are counted: a version number is never given twice, not even after its key was destroyed;
what is stored as a key's uses is a number reserved ahead, so that a crash makes the count too high and never too low.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from issuance.errors import ClockWentBack, UnknownKey, UnusableKey
from issuance.keys import material
from issuance.keys.lifecycle import KeyEvent, advance
from issuance.keys.periods import PERIODS, require_running
from issuance.keys.port import KeyAlgorithm, KeyInfo, KeyPurpose, KeyRef, KeyState

# A clock is set right by minutes now and then; more than an hour back is a mistake or an attack on the periods.
CLOCK_TOLERANCE = timedelta(hours=1)


class Work(StrEnum):
    """What a key may be asked to do."""

    SIGN = "sign"
    OPEN_CARD = "open-card"
    KEY_CARD = "key-card"
    KEY_AT_BUREAU = "key-card-at-bureau"
    DERIVE_PINS = "derive-pins"
    SEND_KEYS = "send-keys"


# A retired signature key still signs the revocation lists of what it issued; a compromised card master still opens
# cards, because that is how they are moved to the next one.
ALLOWED_STATES: dict[Work, frozenset[KeyState]] = {
    Work.SIGN: frozenset({KeyState.ACTIVE, KeyState.RETIRED}),
    Work.OPEN_CARD: frozenset({KeyState.ACTIVE, KeyState.RETIRED, KeyState.COMPROMISED}),
    Work.KEY_CARD: frozenset({KeyState.ACTIVE}),
    # A card from a bureau is moved to the newest master when it is handed over: until then an older one will do.
    Work.KEY_AT_BUREAU: frozenset({KeyState.ACTIVE, KeyState.RETIRED}),
    Work.DERIVE_PINS: frozenset({KeyState.ACTIVE, KeyState.RETIRED}),
    # Each bureau has a version of its own: that another bureau got a later one takes nothing from this one. The office
    # knows whose is whose; a bureau that is left for good has its version destroyed.
    Work.SEND_KEYS: frozenset({KeyState.ACTIVE, KeyState.RETIRED}),
}
ALLOWED_PURPOSES: dict[Work, frozenset[KeyPurpose]] = {
    Work.SIGN: frozenset(KeyPurpose) - material.SYMMETRIC_PURPOSES,
    Work.OPEN_CARD: frozenset({KeyPurpose.CARD_MASTER, KeyPurpose.BLANK_TRANSPORT}),
    Work.KEY_CARD: frozenset({KeyPurpose.CARD_MASTER}),
    Work.KEY_AT_BUREAU: frozenset({KeyPurpose.CARD_MASTER}),
    Work.DERIVE_PINS: frozenset({KeyPurpose.PIN_MASTER}),
    Work.SEND_KEYS: frozenset({KeyPurpose.BUREAU_TRANSPORT}),
}


class KeyRing:
    """All key versions of one vault, without their material."""

    def __init__(self, infos: Iterable[KeyInfo] = (), seen: datetime | None = None) -> None:
        """Take what is known; `seen` is the latest moment at which the vault did something."""
        self._infos = {info.ref: info for info in infos}
        self._reserved: dict[KeyRef, int] = {}
        self.seen = seen

    def copy(self) -> "KeyRing":
        """Return a ring that later changes of this one leave alone."""
        copied = KeyRing(self._infos.values(), self.seen)
        copied._reserved = dict(self._reserved)
        return copied

    def infos(self, purpose: KeyPurpose | None) -> list[KeyInfo]:
        """Tell about all keys, or those of one purpose, in order."""
        return [info for ref, info in sorted(self._infos.items()) if purpose is None or ref.purpose is purpose]

    def next_ref(self, purpose: KeyPurpose, algorithm: KeyAlgorithm) -> KeyRef:
        """Return the next version's reference; raises `UnusableKey` when the algorithm does not fit the purpose."""
        versions = [ref.version for ref in self._infos if ref.purpose is purpose]
        ref = KeyRef(purpose, max(versions, default=0) + 1)
        if not material.fits(purpose, algorithm):
            raise _unusable(ref, f"a key for {purpose} cannot be {algorithm}: choose another algorithm")
        return ref

    def add(self, ref: KeyRef, algorithm: KeyAlgorithm, check_value: str, now: datetime) -> None:
        """Add a version, pre-active: it is known and can be certified before it works."""
        until = now + PERIODS[ref.purpose]
        self._infos[ref] = KeyInfo(ref, algorithm, KeyState.PRE_ACTIVE, now, check_value, uses=0, expires_at=until)

    def add_lost(self, ref: KeyRef, algorithm: KeyAlgorithm, check_value: str, now: datetime) -> None:
        """Add a version whose material was lost; raises `UnusableKey` for one that is there."""
        if ref in self._infos:
            raise _unusable(ref, f"key {ref.purpose} version {ref.version} is not lost: it is in this vault")
        self._infos[ref] = KeyInfo(ref, algorithm, KeyState.DESTROYED, now, check_value, uses=0)

    def set_period(self, ref: KeyRef, until: datetime) -> None:
        """Let a key's period end at another moment; raises `UnusableKey` for one that is not used any more."""
        info = self.get(ref)
        if info.state not in (KeyState.PRE_ACTIVE, KeyState.ACTIVE):
            raise _unusable(ref, f"key {ref.purpose} version {ref.version} is {info.state}: its period is history")
        self._infos[ref] = replace(info, expires_at=until)

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

    def use(self, ref: KeyRef, work: Work, times: int, now: datetime | None) -> KeyInfo:
        """Count uses of a key for some work; without `now` no period is judged.

        Raises `UnusableKey` when purpose or state forbid it, `KeyPeriodOver`, `ClockWentBack`.
        """
        info = self.get(ref)
        if ref.purpose not in ALLOWED_PURPOSES[work]:
            raise _unusable(ref, f"a key for {ref.purpose} is never used to {work}")
        if info.state not in ALLOWED_STATES[work]:
            raise _unusable(
                ref, f"key {ref.purpose} version {ref.version} is {info.state} and may not be used to {work}"
            )
        if now is not None and work is not Work.OPEN_CARD:
            self._require_time(now)
            require_running(info, now)
        self._infos[ref] = replace(info, uses=info.uses + times)
        return info

    def _require_time(self, now: datetime) -> None:
        if self.seen is not None and now < self.seen - CLOCK_TOLERANCE:
            raise ClockWentBack(
                f"the clock shows {now:%Y-%m-%d %H:%M} UTC, but the vault has worked at {self.seen:%Y-%m-%d %H:%M} "
                "already: set the clock right; if the vault was ahead, let two custodians say so by `uec keys agree`",
                seen=self.seen.isoformat(),
            )
        self.seen = now if self.seen is None else max(self.seen, now)

    def take_back(self, ref: KeyRef, times: int) -> None:
        """Uses that were counted and then not made."""
        info = self._infos[ref]
        self._infos[ref] = replace(info, uses=info.uses - times)

    def needs_reserve(self, ref: KeyRef) -> bool:
        """Tell whether a key has been used more often than its stored count says."""
        return self._infos[ref].uses > self._reserved.get(ref, -1)

    def reserve(self, ref: KeyRef, ahead: int) -> None:
        """Store a count from now on that `ahead` more uses do not pass."""
        self._reserved[ref] = self._infos[ref].uses + ahead

    def settle(self) -> bool:
        """Store the exact counts again, because nothing more will be used; tells whether any was reserved ahead."""
        reserved, self._reserved = self._reserved, {}
        return bool(reserved)

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
                    "uses": max(info.uses, self._reserved.get(ref, 0)),
                    "expires_at": info.expires_at.isoformat() if info.expires_at else None,
                },
            )
            for ref, info in sorted(self._infos.items())
        ]

    @classmethod
    def from_json(cls, items: Iterable[Mapping[str, Any]], seen: str | None = None) -> "KeyRing":
        """Read what `to_json` gave, and the moment seen; raises `KeyError` or `ValueError` for anything else.

        A vault of before keys had periods gives each key the usual one.
        """
        return cls((_info_in(item) for item in items), datetime.fromisoformat(seen) if seen else None)


def _info_in(item: Mapping[str, Any]) -> KeyInfo:
    ref, created_at = KeyRef(KeyPurpose(item["purpose"]), item["version"]), datetime.fromisoformat(item["created_at"])
    until = datetime.fromisoformat(item["expires_at"]) if item.get("expires_at") else created_at + PERIODS[ref.purpose]
    return KeyInfo(
        ref=ref,
        algorithm=KeyAlgorithm(item["algorithm"]),
        state=KeyState(item["state"]),
        created_at=created_at,
        check_value=item["check_value"],
        uses=item["uses"],
        expires_at=until,
    )


def _unusable(ref: KeyRef, sentence: str) -> UnusableKey:
    return UnusableKey(sentence, purpose=ref.purpose, version=ref.version)
