"""A k-of-n split: published vectors, any k of n, and each share by its own custodian, for life and across schemes."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from card_io.ciphers import kcv_aes
from card_io.secret import Secret
from issuance.errors import BadComponent
from issuance.keys import shares
from issuance.keys.ceremony import Ceremony, division_protocol, protocol
from issuance.keys.custodians import Place, Scheme, WrongCustodian
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef
from issuance.keys.share_ceremony import ShareCeremony
from tests.support.keys import NOW, TRANSPORT_COMPONENTS

PUBLISHED = json.loads((Path(__file__).parents[2] / "vectors" / "slip39.json").read_text())
KEY = Secret(bytes(range(0x40, 0x50)))
SPLIT = shares.split(KEY, threshold=3, count=5)
PEOPLE = ("Иванов", "Петрова", "Сидоров", "Ким", "Орлова")


def ceremony(held: dict[str, Place] | None = None) -> ShareCeremony:
    return ShareCeremony(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, held or {})


def enter(begun: ShareCeremony, number: int, person: str | None = None) -> ShareCeremony:
    share = SPLIT[number - 1]
    return begun.enter(person or PEOPLE[number - 1], share.words, share.check_value)


@pytest.mark.parametrize("vector", PUBLISHED["vectors"], ids=lambda vector: vector["name"])
def test_published_vectors(vector: dict[str, Any]) -> None:
    lines = [Secret(line.encode()) for line in vector["shares"]]
    if vector["secret"]:
        assert shares.combine(lines, Secret(PUBLISHED["passphrase"].encode())) == Secret(
            bytes.fromhex(vector["secret"])
        )
    else:
        with pytest.raises(BadComponent) as caught:
            shares.combine(lines, Secret(PUBLISHED["passphrase"].encode()))
        assert not set(str(caught.value).split()) & set(vector["shares"][0].split()[4:8])


@pytest.mark.parametrize("chosen", list(itertools.combinations(range(1, 6), 3)), ids=str)
def test_any_three_of_five_make_the_key(chosen: tuple[int, ...]) -> None:
    begun = ceremony()
    assert begun.missing_count is None
    for left, number in zip((2, 1, 0), chosen, strict=True):
        begun = enter(begun, number)
        assert begun.missing_count == left
    assert begun.key() == KEY
    assert begun.check_value() == "504A77"


@settings(max_examples=15, deadline=None)
@given(
    key=st.sampled_from((16, 32)).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    sizes=st.integers(2, 6).flatmap(lambda count: st.tuples(st.integers(2, count), st.just(count))),
    order=st.randoms(use_true_random=False),
)
def test_what_is_divided_comes_together_in_any_order(key: bytes, sizes: tuple[int, int], order: Any) -> None:
    threshold, count = sizes
    parts = shares.split(Secret(key), threshold=threshold, count=count)
    assert [part.number for part in parts] == list(range(1, count + 1))
    order.shuffle(parts)
    assert shares.combine([part.words for part in parts[:threshold]]) == Secret(key)
    with pytest.raises(BadComponent):
        shares.combine([part.words for part in parts[: threshold - 1]])


@pytest.mark.parametrize("sizes", [(1, 1), (1, 3), (4, 3), (2, 17), (0, 2)])
def test_impossible_divisions_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(BadComponent):
        shares.split(KEY, threshold=sizes[0], count=sizes[1])


def test_a_key_of_another_length_is_not_divided() -> None:
    with pytest.raises(BadComponent):
        shares.split(Secret(bytes(24)), threshold=2, count=3)


def test_nothing_is_told_before_enough_have_entered() -> None:
    begun = enter(enter(ceremony(), 1), 2)
    for ask in (begun.key, begun.check_value, ceremony().key):
        with pytest.raises(BadComponent):
            ask()


def test_a_lost_custodian_is_no_loss_and_a_fourth_is_not_needed() -> None:
    whole = enter(enter(enter(ceremony(), 2), 4), 5)  # 1 and 3 cannot come any more
    assert whole.key() == KEY
    with pytest.raises(WrongCustodian):
        enter(whole, 1)


@pytest.mark.parametrize("typed", ["", "no words at all", " ".join(["academic"] * 20)])
def test_mistyped_words_change_nothing_and_are_not_repeated(typed: str) -> None:
    begun = enter(ceremony(), 1)
    with pytest.raises(BadComponent) as caught:
        begun.enter("Петрова", Secret(typed.encode()), "000000")
    assert "academic" not in str(caught.value)
    assert len(begun.entered) == 1


def test_one_wrong_word_is_noticed_wherever_it_is() -> None:
    words = SPLIT[0].words.reveal().decode().split()
    for at in range(len(words)):
        changed = [*words[:at], "academic" if words[at] != "academic" else "acid", *words[at + 1 :]]
        with pytest.raises(BadComponent):
            ceremony().enter("Иванов", Secret(" ".join(changed).encode()), SPLIT[0].check_value)


def test_case_and_spaces_do_not_matter() -> None:
    typed = SPLIT[0].words.reveal().decode().upper().replace(" ", "\n  ")
    assert len(ceremony().enter("Иванов", Secret(typed.encode()), SPLIT[0].check_value.lower()).entered) == 1


def test_the_check_value_of_another_paper_is_refused() -> None:
    with pytest.raises(BadComponent, match=SPLIT[0].check_value):
        ceremony().enter("Иванов", SPLIT[0].words, SPLIT[1].check_value)


def test_a_share_of_another_key_or_length_does_not_belong() -> None:
    other = shares.split(Secret(bytes(16)), threshold=3, count=5)
    with pytest.raises(BadComponent, match="another key"):
        enter(ceremony(), 1).enter("Петрова", other[1].words, other[1].check_value)
    longer = shares.split(Secret(bytes(32)), threshold=2, count=2)
    with pytest.raises(BadComponent, match="32 bytes"):
        ceremony().enter("Петрова", longer[0].words, longer[0].check_value)


@pytest.mark.parametrize("name", ["Иванов", " иванов ", "ИВАНОВ", ""])
def test_one_person_never_enters_two_shares(name: str) -> None:
    with pytest.raises(WrongCustodian):
        enter(enter(ceremony(), 1), 2, name or " ")


def test_one_share_is_never_entered_twice() -> None:
    with pytest.raises(WrongCustodian):
        enter(enter(ceremony(), 1), 1, "Новый")


def test_who_held_a_component_holds_no_share_and_the_other_way_round() -> None:
    with pytest.raises(WrongCustodian):
        enter(ceremony({"Иванов": Place(Scheme.COMPONENT, 1)}), 1)
    by_components = Ceremony(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, 2, {"иванов": Place(Scheme.SHARE, 1)})
    with pytest.raises(WrongCustodian):
        by_components.enter("Иванов", 1, TRANSPORT_COMPONENTS[0], kcv_aes(TRANSPORT_COMPONENTS[0].reveal()).hex())
    assert enter(ceremony({"Иванов": Place(Scheme.SHARE, 1)}), 1).missing_count == 2
    with pytest.raises(WrongCustodian):
        enter(ceremony({"Иванов": Place(Scheme.SHARE, 2)}), 1)


@pytest.mark.parametrize("same", ["Семёнова  Анна", "семенова анна", "ＳＥＭＥＮＯＶＡ"])
def test_spelling_makes_no_other_person(same: str) -> None:
    first = "Semenova" if same.isascii() or "Ｓ" in same else "Семёнова Анна"
    with pytest.raises(WrongCustodian):
        enter(enter(ceremony(), 1, first), 2, same)


def test_protocols_name_people_and_check_values_and_no_word_of_a_share() -> None:
    whole = enter(enter(enter(ceremony(), 5), 2), 1)
    text = protocol(whole, KeyRef(KeyPurpose.CARD_MASTER, 3), now=NOW)
    divided = division_protocol(KeyAlgorithm.AES_128, "504A77", list(zip(PEOPLE, SPLIT, strict=True)), now=NOW)
    for fact in ("Иванов", "Share 5: Орлова", "504A77", "version 3", SPLIT[1].check_value, "3 shares"):
        assert fact in text
    for fact in (*PEOPLE, "5 shares", *(share.check_value for share in SPLIT)):
        assert fact in divided
    for told in (text, divided, repr(whole), repr(SPLIT)):
        assert KEY.reveal().hex() not in told
        assert not any(" ".join(share.words.reveal().decode().split()[4:7]) in told for share in SPLIT)


def test_shares_make_symmetric_keys_only() -> None:
    for purpose, algorithm in (
        (KeyPurpose.CA_ROOT, KeyAlgorithm.EC_P384),
        (KeyPurpose.CARD_MASTER, KeyAlgorithm.EC_P256),
    ):
        with pytest.raises(BadComponent):
            ShareCeremony(purpose, algorithm, {})
