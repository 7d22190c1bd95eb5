"""Versions, states and what a key may be used for."""

import json
from itertools import product

import pytest

from issuance.errors import UnknownKey, UnusableKey
from issuance.keys import material
from issuance.keys.keyring import ALLOWED_PURPOSES, ALLOWED_STATES, KeyRing, Work
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef, KeyState
from tests.support.keys import NOW

AES = KeyAlgorithm.AES_128


def add(ring: KeyRing, purpose: KeyPurpose = KeyPurpose.CARD_MASTER, algorithm: KeyAlgorithm = AES) -> KeyRef:
    ref = ring.next_ref(purpose, algorithm)
    ring.add(ref, algorithm, "504A77", NOW)
    ring.move(ref, KeyEvent.ACTIVATE)
    return ref


def ring_with_card_master() -> tuple[KeyRing, KeyRef]:
    ring = KeyRing()
    return ring, add(ring)


def test_a_new_version_retires_the_one_before() -> None:
    ring, first = ring_with_card_master()
    second = add(ring)
    assert (first.version, second.version) == (1, 2)
    assert [info.state for info in ring.infos(KeyPurpose.CARD_MASTER)] == [KeyState.RETIRED, KeyState.ACTIVE]
    assert ring.active(KeyPurpose.CARD_MASTER) == second


def test_a_version_is_not_given_twice_even_after_destruction() -> None:
    ring, first = ring_with_card_master()
    add(ring)
    ring.move(first, KeyEvent.DESTROY)
    assert add(ring).version == 3


def test_a_key_made_ahead_works_once_it_is_activated() -> None:
    ring, first = ring_with_card_master()
    second = ring.next_ref(KeyPurpose.CARD_MASTER, AES)
    ring.add(second, AES, "000000", NOW)
    assert ring.active(KeyPurpose.CARD_MASTER) == first
    for work in (Work.OPEN_CARD, Work.KEY_CARD):
        with pytest.raises(UnusableKey):
            ring.use(second, work, 1, None)
    ring.move(second, KeyEvent.ACTIVATE)
    assert ring.active(KeyPurpose.CARD_MASTER) == second
    assert ring.get(first).state is KeyState.RETIRED
    ring.use(second, Work.KEY_CARD, 1, None)


@pytest.mark.parametrize(("work", "purpose"), list(product(Work, KeyPurpose)))
def test_a_key_works_for_its_purpose_only(work: Work, purpose: KeyPurpose) -> None:
    algorithm = KeyAlgorithm.AES_128 if purpose in material.SYMMETRIC_PURPOSES else KeyAlgorithm.EC_P256
    ring = KeyRing()
    ref = add(ring, purpose, algorithm)
    if purpose in ALLOWED_PURPOSES[work]:
        ring.use(ref, work, 3, None)
        assert ring.get(ref).uses == 3
        return
    with pytest.raises(UnusableKey):
        ring.use(ref, work, 1, None)
    assert ring.get(ref).uses == 0


@pytest.mark.parametrize("events", [[], [KeyEvent.RETIRE], [KeyEvent.COMPROMISE], [KeyEvent.RETIRE, KeyEvent.DESTROY]])
def test_a_key_works_in_allowed_states_only(events: list[KeyEvent]) -> None:
    ring, ref = ring_with_card_master()
    for event in events:
        ring.move(ref, event)
    state = ring.get(ref).state
    for work in (Work.OPEN_CARD, Work.KEY_CARD):
        if state in ALLOWED_STATES[work]:
            assert ring.use(ref, work, 1, None).ref == ref
            continue
        with pytest.raises(UnusableKey) as caught:
            ring.use(ref, work, 1, None)
        assert state.value in str(caught.value)


def test_a_compromised_master_opens_cards_but_keys_no_new_ones() -> None:
    assert KeyState.COMPROMISED in ALLOWED_STATES[Work.OPEN_CARD]
    assert KeyState.COMPROMISED not in ALLOWED_STATES[Work.KEY_CARD]
    assert KeyState.COMPROMISED not in ALLOWED_STATES[Work.SIGN]


def test_a_symmetric_purpose_takes_no_private_key_and_the_other_way_round() -> None:
    for purpose, algorithm in product(KeyPurpose, KeyAlgorithm):
        if algorithm is KeyAlgorithm.DES3:
            continue
        symmetric = algorithm in (KeyAlgorithm.AES_128, KeyAlgorithm.AES_256)
        assert material.fits(purpose, algorithm) is (symmetric == (purpose in material.SYMMETRIC_PURPOSES))
    takes_des = {purpose for purpose in KeyPurpose if material.fits(purpose, KeyAlgorithm.DES3)}
    assert takes_des == {KeyPurpose.CARD_MASTER, KeyPurpose.BLANK_TRANSPORT}
    with pytest.raises(UnusableKey):
        KeyRing().next_ref(KeyPurpose.CA_ROOT, AES)


def test_unknown_and_missing_keys_are_told_apart_from_unusable_ones() -> None:
    ring, _ = ring_with_card_master()
    with pytest.raises(UnknownKey):
        ring.get(KeyRef(KeyPurpose.CARD_MASTER, 9))
    with pytest.raises(UnknownKey) as caught:
        ring.active(KeyPurpose.OCSP)
    assert caught.value.version is None


def test_json_gives_the_same_ring_back() -> None:
    ring, first = ring_with_card_master()
    add(ring, KeyPurpose.OCSP, KeyAlgorithm.EC_P256)
    ring.use(first, Work.OPEN_CARD, 5, None)
    items = json.loads(json.dumps([item for _, item in ring.to_json()]))
    again = KeyRing.from_json(items)
    assert again.infos(None) == ring.infos(None)
    assert again.get(first).uses == 5


def test_a_copy_does_not_follow_its_original() -> None:
    ring, first = ring_with_card_master()
    copy = ring.copy()
    ring.move(first, KeyEvent.RETIRE)
    assert copy.get(first).state is KeyState.ACTIVE


def test_a_lost_version_is_known_as_destroyed_and_never_given_again() -> None:
    ring, first = ring_with_card_master()
    lost = KeyRef(KeyPurpose.CARD_MASTER, first.version + 1)
    ring.add_lost(lost, AES, "ABCDEF", NOW)
    assert ring.get(lost).state is KeyState.DESTROYED and ring.active(KeyPurpose.CARD_MASTER) == first
    assert ring.next_ref(KeyPurpose.CARD_MASTER, AES).version == lost.version + 1
    with pytest.raises(UnusableKey):
        ring.add_lost(first, AES, "ABCDEF", NOW)
    with pytest.raises(UnusableKey):
        ring.use(lost, Work.OPEN_CARD, 1, None)
    again = KeyRing.from_json([item for _, item in ring.to_json()], None)
    assert (again.get(lost).state, again.get(lost).check_value) == (KeyState.DESTROYED, "ABCDEF")
