"""Ceremonies: every component by its own custodian, for life."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io.ciphers import kcv_aes
from card_io.secret import Secret
from issuance.errors import BadComponent
from issuance.keys.card_keys import combine
from issuance.keys.ceremony import Ceremony, WrongCustodian, protocol, split
from issuance.keys.custodians import Place, Scheme
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef
from tests.support.keys import NOW, TRANSPORT_CHECK_VALUE, TRANSPORT_COMPONENTS

FIRST, SECOND = TRANSPORT_COMPONENTS
CHECKS = [kcv_aes(part.reveal()).hex().upper() for part in TRANSPORT_COMPONENTS]


def ceremony(history: dict[str, int] | None = None, places: int = 2) -> Ceremony:
    held = {name: Place(Scheme.COMPONENT, number) for name, number in (history or {}).items()}
    return Ceremony(KeyPurpose.BLANK_TRANSPORT, KeyAlgorithm.AES_128, places, held)


def finished() -> Ceremony:
    return ceremony().enter("Петрова", 2, SECOND, CHECKS[1]).enter("Иванов", 1, FIRST, CHECKS[0].lower())


def test_two_components_give_the_published_key() -> None:
    assert finished().missing == ()
    assert finished().components() == TRANSPORT_COMPONENTS
    assert finished().check_value() == TRANSPORT_CHECK_VALUE


def test_nothing_is_told_before_all_have_entered() -> None:
    half = ceremony().enter("Иванов", 1, FIRST, CHECKS[0])
    assert half.missing == (2,)
    for ask in (half.components, half.check_value):
        with pytest.raises(BadComponent) as caught:
            ask()
        assert "component 2" in str(caught.value)


@pytest.mark.parametrize("name", ["Иванов", " иванов ", "ИВАНОВ", ""])
def test_one_person_never_enters_two(name: str) -> None:
    half = ceremony().enter("Иванов", 1, FIRST, CHECKS[0])
    with pytest.raises(WrongCustodian) as caught:
        half.enter(name, 2, SECOND, CHECKS[1])
    assert caught.value.place == 2


def test_a_place_is_for_life() -> None:
    later = ceremony({"Иванов": 1, "Петрова": 2})
    with pytest.raises(WrongCustodian):
        later.enter("Петрова", 1, FIRST, CHECKS[0])
    assert later.enter("Иванов", 1, FIRST, CHECKS[0]).missing == (2,)
    assert later.enter("Новый", 1, FIRST, CHECKS[0]).missing == (2,)


@pytest.mark.parametrize("place", [0, 3, 1])
def test_only_a_free_place_is_entered(place: int) -> None:
    half = ceremony().enter("Иванов", 1, FIRST, CHECKS[0])
    with pytest.raises(WrongCustodian):
        half.enter("Петрова", place, SECOND, CHECKS[1])


def test_a_mistyped_component_is_told_at_once_and_changes_nothing() -> None:
    start = ceremony()
    for component, check in ((FIRST, "000000"), (Secret(bytes(16)), CHECKS[0]), (Secret(bytes(15)), CHECKS[0])):
        with pytest.raises(BadComponent):
            start.enter("Иванов", 1, component, check)
    assert start.entered == ()


def test_impossible_ceremonies_do_not_begin() -> None:
    for purpose, algorithm, places in (
        (KeyPurpose.CA_ROOT, KeyAlgorithm.EC_P384, 2),
        (KeyPurpose.CARD_MASTER, KeyAlgorithm.EC_P256, 2),
        (KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, 1),
        (KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, 4),
    ):
        with pytest.raises(BadComponent):
            Ceremony(purpose, algorithm, places, {})


@given(key=st.binary(min_size=32, max_size=32).filter(any), places=st.sampled_from([2, 3]))
def test_what_is_split_comes_together_again(key: bytes, places: int) -> None:
    parts = split(Secret(key), places, os.urandom)
    begun = Ceremony(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_256, places, {})
    for place, (part, check) in enumerate(parts, start=1):
        begun = begun.enter(f"Custodian {place}", place, part, check)
    assert combine(begun.components(), 32) == Secret(key)
    assert all(part != Secret(key) for part, _ in parts)


def test_a_key_is_not_split_into_one() -> None:
    with pytest.raises(BadComponent):
        split(FIRST, 1, os.urandom)


def test_the_protocol_names_people_and_check_values_and_no_key() -> None:
    text = protocol(finished(), KeyRef(KeyPurpose.BLANK_TRANSPORT, 3), now=NOW)
    for fact in ("Иванов", "Петрова", "version 3", TRANSPORT_CHECK_VALUE, *CHECKS, "2026-03-02 09:30"):
        assert fact in text
    for secret in (*TRANSPORT_COMPONENTS, combine(TRANSPORT_COMPONENTS, 16)):
        assert secret.reveal().hex() not in text.lower()
    body, last = text.rstrip("\n").rsplit("\n", 1)
    assert last.endswith(hashlib.sha256(body.encode()).hexdigest())


def test_a_ceremony_prints_no_component() -> None:
    assert FIRST.reveal().hex() not in repr(finished())
    assert repr(finished()).count("***") == 2
