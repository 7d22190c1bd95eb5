"""Any history of a key ring, step by step beside a model that is told only what happened."""

from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from issuance.errors import UnknownKey, UnusableKey
from issuance.keys.keyring import ALLOWED_STATES, KeyRing, Work
from issuance.keys.lifecycle import MOVES, KeyEvent
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef, KeyState
from tests.support.keys import NOW

PURPOSES = {KeyPurpose.CARD_MASTER: KeyAlgorithm.AES_128, KeyPurpose.CA_ISSUING: KeyAlgorithm.EC_P256}
WORK = {KeyPurpose.CARD_MASTER: (Work.OPEN_CARD, Work.KEY_CARD), KeyPurpose.CA_ISSUING: (Work.SIGN,)}


class RingHistory(RuleBasedStateMachine):
    """Adds, moves and uses keys in any order; the model is two plain dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = KeyRing()
        self.states: dict[KeyRef, KeyState] = {}
        self.uses: dict[KeyRef, int] = {}
        self.steps = 0

    @rule(purpose=st.sampled_from(list(PURPOSES)))
    def add(self, purpose: KeyPurpose) -> None:
        ref = self.ring.next_ref(purpose, PURPOSES[purpose])
        assert ref not in self.states
        self.steps += 1
        self.ring.add(ref, PURPOSES[purpose], "00", NOW + timedelta(days=self.steps))
        self.states[ref], self.uses[ref] = KeyState.PRE_ACTIVE, 0

    @rule(purpose=st.sampled_from(list(PURPOSES)), version=st.integers(1, 6), event=st.sampled_from(KeyEvent))
    def move(self, purpose: KeyPurpose, version: int, event: KeyEvent) -> None:
        ref = KeyRef(purpose, version)
        if ref not in self.states:
            with pytest.raises(UnknownKey):
                self.ring.move(ref, event)
            return
        target = MOVES.get((self.states[ref], event))
        if target is None:
            with pytest.raises(UnusableKey):
                self.ring.move(ref, event)
            return
        self.ring.move(ref, event)
        if target is KeyState.ACTIVE:
            for other, state in self.states.items():
                if other.purpose is purpose and state is KeyState.ACTIVE:
                    self.states[other] = KeyState.RETIRED
        self.states[ref] = target

    @rule(purpose=st.sampled_from(list(PURPOSES)), version=st.integers(1, 6), times=st.integers(0, 9))
    def use(self, purpose: KeyPurpose, version: int, times: int) -> None:
        ref = KeyRef(purpose, version)
        for work in WORK[purpose]:
            if ref not in self.states:
                with pytest.raises(UnknownKey):
                    self.ring.use(ref, work, times, None)
            elif self.states[ref] in ALLOWED_STATES[work]:
                self.ring.use(ref, work, times, None)
                self.uses[ref] += times
            else:
                with pytest.raises(UnusableKey):
                    self.ring.use(ref, work, times, None)

    @rule()
    def save_and_load(self) -> None:
        self.ring = KeyRing.from_json([item for _, item in self.ring.to_json()])

    @invariant()
    def the_ring_is_what_happened(self) -> None:
        assert {info.ref: info.state for info in self.ring.infos(None)} == self.states
        assert {info.ref: info.uses for info in self.ring.infos(None)} == self.uses

    @invariant()
    def at_most_one_is_active(self) -> None:
        for purpose in PURPOSES:
            active = [ref for ref, state in self.states.items() if ref.purpose is purpose and state is KeyState.ACTIVE]
            assert len(active) <= 1
            if active:
                assert self.ring.active(purpose) == active[0]
                continue
            with pytest.raises(UnknownKey):
                self.ring.active(purpose)


RingHistory.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestRingHistory = RingHistory.TestCase
