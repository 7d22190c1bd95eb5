"""The state machines: every state with every event."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from typing import Any

import pytest

from uec.domain import lifecycle
from uec.domain.errors import IllegalMove
from uec.domain.lifecycle import INITIAL, MACHINES, advance, allowed_moves, sources

FINAL = {
    "application": {"REJECTED", "CLOSED", "WITHDRAWN"},
    "card": {"DESTROYED"},
    "batch": {"CLOSED", "CANCELLED"},
    "card_operation": {"DONE", "FAILED", "CANCELLED"},
    "cohort": {"VOID"},
    "certificate": {"REVOKED"},
    "stock_transfer": {"RECEIVED", "SETTLED", "RECALLED"},
    "stock_shift": {"CLOSED"},
    "stock_destruction": {"DONE", "WITHDRAWN"},
    "quarantine": {"RELEASED"},
    "twin_case": set(),
    "print_order": {"SPOILED"},
    "card_look": {"GOOD", "BAD"},
    "policy_change": {"CONFIRMED", "WITHDRAWN"},
    "public_notice": {"CONFIRMED", "WITHDRAWN"},
    "bureau": {"ENDED"},
    "bureau_certificate": {"ENDED"},
    "bureau_order": {"DECLINED", "CLOSED", "CANCELLED"},
    "bureau_card": {"FINISHED", "REJECTED", "RECALLED"},
    "bureau_consignment": {"RECEIVED"},
    "export_file": {"READY", "FAILED"},
}


def kinds(table: Mapping[Any, StrEnum]) -> tuple[type[StrEnum], type[StrEnum]]:
    state, event = next(iter(table))
    return type(state), type(event)


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_state_with_every_event(machine: str) -> None:
    table = MACHINES[machine]
    states, events = kinds(table)
    for state, event in product(states, events):
        if (state, event) in table:
            assert advance(table, state, event) in states
            assert state in sources(table, event)
        else:
            with pytest.raises(IllegalMove) as caught:
                advance(table, state, event)
            assert (caught.value.machine, caught.value.state, caught.value.event) == (states.__name__, state, event)
            assert state not in sources(table, event)


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_event_has_a_use_and_only_final_states_are_dead_ends(machine: str) -> None:
    table = MACHINES[machine]
    states, events = kinds(table)
    assert {event for _, event in table} == set(events)
    assert {str(state) for state in states} - {str(state) for state, _ in table} == FINAL[machine]
    assert {target for _, target in allowed_moves(machine)} | INITIAL[machine] == set(states)


def test_a_card_is_active_only_after_inspection_and_hand_over() -> None:
    into_active = {source for source, target in allowed_moves("card") if target == "ACTIVE"}
    assert into_active == {"PERSONALISED", "SUSPENDED"}
    assert {source for source, target in allowed_moves("card") if target == "PERSONALISED"} == {"WRITING"}


def test_a_lost_or_ended_card_never_comes_back() -> None:
    for dead in ("LOST", "ANNULLED", "REPLACED", "EXPIRED", "SPOILED", "DESTROYED"):
        assert {target for source, target in allowed_moves("card") if source == dead} <= {
            "ANNULLED",
            "REPLACED",
            "DESTROYED",
        }


def test_machines_are_named_like_tables() -> None:
    assert lifecycle.MACHINES.keys() == INITIAL.keys()
