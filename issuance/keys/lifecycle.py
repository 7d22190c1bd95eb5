"""The life of a key: one table, one way to move through it (NIST SP 800-57 part 1 rev. 5, section 7)."""

from enum import StrEnum

from issuance.errors import UnusableKey
from issuance.keys.port import KeyRef, KeyState


class KeyEvent(StrEnum):
    """What may happen to a key."""

    ACTIVATE = "activate"
    RETIRE = "retire"
    COMPROMISE = "compromise"
    DESTROY = "destroy"


MOVES: dict[tuple[KeyState, KeyEvent], KeyState] = {
    (KeyState.PRE_ACTIVE, KeyEvent.ACTIVATE): KeyState.ACTIVE,
    (KeyState.PRE_ACTIVE, KeyEvent.COMPROMISE): KeyState.COMPROMISED,
    (KeyState.PRE_ACTIVE, KeyEvent.DESTROY): KeyState.DESTROYED,
    (KeyState.ACTIVE, KeyEvent.RETIRE): KeyState.RETIRED,
    (KeyState.ACTIVE, KeyEvent.COMPROMISE): KeyState.COMPROMISED,
    (KeyState.RETIRED, KeyEvent.COMPROMISE): KeyState.COMPROMISED,
    (KeyState.RETIRED, KeyEvent.DESTROY): KeyState.DESTROYED,
    (KeyState.COMPROMISED, KeyEvent.DESTROY): KeyState.DESTROYED,
}


def advance(ref: KeyRef, state: KeyState, event: KeyEvent) -> KeyState:
    """Return the state after the event; raises `UnusableKey` when the table has no such move."""
    try:
        return MOVES[state, event]
    except KeyError:
        raise UnusableKey(
            f"key {ref.purpose} version {ref.version} is {state}: {event} is not possible from there",
            purpose=ref.purpose,
            version=ref.version,
        ) from None
