"""Every state against every event."""

from itertools import product

import pytest

from issuance.errors import UnusableKey
from issuance.keys.lifecycle import MOVES, KeyEvent, advance
from issuance.keys.port import KeyPurpose, KeyRef, KeyState

REF = KeyRef(KeyPurpose.CARD_MASTER, 3)


@pytest.mark.parametrize(("state", "event"), list(product(KeyState, KeyEvent)))
def test_a_key_moves_by_the_table_only(state: KeyState, event: KeyEvent) -> None:
    if (state, event) in MOVES:
        assert advance(REF, state, event) is MOVES[state, event]
        return
    with pytest.raises(UnusableKey) as caught:
        advance(REF, state, event)
    assert caught.value.version == 3
    assert state.value in str(caught.value)


def test_nothing_leaves_destroyed_and_nothing_comes_back_to_active() -> None:
    assert not [move for move in MOVES if move[0] is KeyState.DESTROYED]
    assert {start for (start, _), end in MOVES.items() if end is KeyState.ACTIVE} == {KeyState.PRE_ACTIVE}


def test_an_active_key_is_never_destroyed_at_once() -> None:
    assert (KeyState.ACTIVE, KeyEvent.DESTROY) not in MOVES
