"""The terminal's state: any prefix of deltas ends where the office is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.errors import InvalidStopList
from issuance.pki.stoplist import EMPTY, Delta, Scope, Snapshot, StopEntry, StopList, Stopped, canonical

AT = datetime(2026, 3, 2, tzinfo=UTC)
NEXT = AT + timedelta(hours=1)
THINGS = st.builds(Stopped, st.sampled_from(Scope), st.integers(1, 6).map(str))
ENTRIES = st.builds(StopEntry, THINGS, st.sampled_from(["lost", "annulled"]), st.just(AT))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[StopEntry], list[Stopped]]]:
    """Changes one after the other: what is added, and what is removed, never both at once."""
    changes = []
    for _ in range(draw(st.integers(0, 8))):
        added = draw(st.lists(ENTRIES, max_size=4, unique_by=lambda entry: entry.stopped))
        removed = draw(st.lists(THINGS, max_size=4, unique=True))
        kept = {entry.stopped for entry in added}
        changes.append((added, [item for item in removed if item not in kept]))
    return changes


def delta(number: int, added: list[StopEntry], removed: list[Stopped]) -> Delta:
    return Delta(number, AT, NEXT, tuple(added), tuple(removed))


@given(history=histories(), data=st.data())
def test_any_prefix_of_deltas_ends_at_the_right_state(
    history: list[tuple[list[StopEntry], list[Stopped]]], data: st.DataObject
) -> None:
    expected: list[dict[Stopped, StopEntry]] = [{}]
    for added, removed in history:
        state = dict(expected[-1])
        for item in removed:
            state.pop(item, None)
        for entry in added:
            state[entry.stopped] = entry
        expected.append(state)
    start = data.draw(st.integers(0, len(history)))
    end = data.draw(st.integers(start, len(history)))
    # A terminal begins with the snapshot of any state, and applies the deltas after it up to any other.
    terminal = EMPTY.apply(StopList(start, expected[start]).snapshot(issued_at=AT, next_update=NEXT))
    for number in range(start, end):
        terminal = terminal.apply(delta(number + 1, *history[number]))
    assert terminal.number == end
    assert terminal.entries == expected[end]


def test_a_delta_that_does_not_follow_asks_for_the_snapshot() -> None:
    state = StopList(5, {})
    for number in (4, 5, 7):
        with pytest.raises(InvalidStopList) as caught:
            state.apply(delta(number, [], []))
        assert "snapshot" in str(caught.value)
    assert state.apply(delta(6, [], [])).number == 6


def test_a_terminal_does_not_go_back() -> None:
    state = StopList(5, {})
    with pytest.raises(InvalidStopList):
        state.apply(Snapshot(4, AT, NEXT, ()))
    assert state.apply(Snapshot(5, AT, NEXT, ())).number == 5


def test_a_snapshot_is_in_order_whatever_the_history() -> None:
    things = [StopEntry(Stopped(Scope.CARD, str(n)), "lost", AT) for n in (3, 1, 2)]
    snapshots = [
        StopList(1, {entry.stopped: entry for entry in order}).snapshot(issued_at=AT, next_update=NEXT)
        for order in (things, things[::-1])
    ]
    assert snapshots[0] == snapshots[1]


def test_a_changed_reason_replaces_the_entry() -> None:
    card = Stopped(Scope.CARD, "9643")
    lost, annulled = StopEntry(card, "lost", AT), StopEntry(card, "annulled", NEXT)
    state = EMPTY.apply(delta(1, [lost], [])).apply(delta(2, [annulled], []))
    assert state.entries == {card: annulled}


def test_canonical_json_is_the_published_form() -> None:
    # RFC 8785 section 3.2.3's idea with our kinds of value: members by name, no spaces, letters as they are.
    assert canonical({"б": 1, "a": [True, "ё"], "A": {}}) == '{"A":{},"a":[true,"ё"],"б":1}'.encode()
