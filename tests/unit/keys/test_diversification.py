"""Keys of many cards at once are those that each card derives for itself (`card_io.diversification`)."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io.ciphers import kcv_aes
from card_io.diversification import diversify
from card_io.keyset import KeySet
from card_io.secret import Secret
from issuance.errors import VaultError
from issuance.keys import diversification
from issuance.keys.diversification import key_columns, static_keys
from issuance.keys.port import EMV, KDF3, VISA2
from tests.support.keys import KDD, TRANSPORT_MASTER, master_of

MASTER = master_of(TRANSPORT_MASTER)
BLOCKS = {KDF3: 16, EMV: 8, VISA2: 8}
SIZES = [(KDF3, 16), (KDF3, 24), (KDF3, 32), (EMV, 16), (VISA2, 16)]


def on_the_card(derivation: str, key: bytes, kdds: Sequence[bytes]) -> list[KeySet]:
    return [diversify(derivation, KeySet.same(Secret(key)), kdd) for kdd in kdds]


def test_static_keys_have_the_published_check_values() -> None:
    (keys,) = static_keys(MASTER, KDF3, [KDD])
    values = [kcv_aes(key.reveal()).hex().upper() for key in keys.in_order()]
    assert values == ["E79C05", "D1BD77", "3FDE8C"]


@given(
    chosen=st.sampled_from(SIZES).flatmap(
        lambda pair: st.tuples(st.just(pair[0]), st.binary(min_size=pair[1], max_size=pair[1]))
    ),
    kdds=st.lists(st.binary(min_size=10, max_size=10), max_size=9),
)
def test_keys_of_many_cards_are_those_of_the_cards_side(chosen: tuple[str, bytes], kdds: list[bytes]) -> None:
    derivation, key = chosen
    master = master_of(key, block_bytes=BLOCKS[derivation])
    assert static_keys(master, derivation, kdds) == on_the_card(derivation, key, kdds)


@pytest.mark.parametrize(("derivation", "size_bytes"), SIZES)
@pytest.mark.parametrize("cards", [1, 255, 256, 257, 1000, 10_240, 10_241, 20_481])
def test_columns_hold_every_card_of_a_batch_in_order(derivation: str, size_bytes: int, cards: int) -> None:
    key = bytes(range(200, 200 + size_bytes))
    kdds = [random.Random(number).randbytes(10) for number in range(cards)]
    columns = key_columns(master_of(key, block_bytes=BLOCKS[derivation]), derivation, b"".join(kdds))
    assert [len(column) for column in columns] == [cards * size_bytes] * 3
    looked_at = sorted({0, 1, cards // 2, 5119, 5120, 10_239, 10_240, cards - 1} & set(range(cards)))
    for card, expected in zip(looked_at, on_the_card(derivation, key, [kdds[card] for card in looked_at]), strict=True):
        at = slice(card * size_bytes, (card + 1) * size_bytes)
        assert tuple(Secret(bytes(column[at])) for column in columns) == expected.in_order(), card


def test_a_short_batch_after_a_long_one_takes_nothing_from_it() -> None:
    kdds = [random.Random(number).randbytes(10) for number in range(700)]
    static_keys(MASTER, KDF3, kdds)
    assert static_keys(MASTER, KDF3, kdds[300:303]) == on_the_card(KDF3, TRANSPORT_MASTER, kdds[300:303])


@pytest.mark.parametrize(("derivation", "calls"), [(KDF3, [16, 16_000, 16_000, 16_000]), (EMV, [48_000])])
def test_the_master_enciphers_a_thousand_cards_in_a_few_calls(derivation: str, calls: list[int]) -> None:
    asked: list[int] = []
    real = master_of(TRANSPORT_MASTER, block_bytes=BLOCKS[derivation])

    def encrypt(blocks: bytes | memoryview, into: memoryview) -> None:
        asked.append(len(blocks))
        real.encrypt(blocks, into)

    master = diversification.Master(16, BLOCKS[derivation], lambda _: [], encrypt)
    key_columns(master, derivation, KDD * 1000)
    assert asked == calls  # KDF3: the subkey, then exactly the blocks that the keys are


@pytest.mark.parametrize("derivation", [KDF3, EMV, VISA2])
def test_no_cards_have_no_keys(derivation: str) -> None:
    master = master_of(TRANSPORT_MASTER, block_bytes=BLOCKS[derivation])
    assert [bytes(column) for column in key_columns(master, derivation, b"")] == [b"", b"", b""]
    assert static_keys(master, derivation, []) == []


@pytest.mark.parametrize("derivation", [KDF3, EMV, VISA2])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_kdd_of_a_wrong_length_stops_the_batch(derivation: str, at: int) -> None:
    kdds = [KDD, KDD, KDD]
    kdds[at] = KDD[1:]
    master = master_of(TRANSPORT_MASTER, block_bytes=BLOCKS[derivation])
    with pytest.raises(VaultError, match="10 bytes a card, not 9"):
        static_keys(master, derivation, kdds)
    with pytest.raises(VaultError, match="11 bytes"):
        key_columns(master, derivation, KDD + b"x")


@pytest.mark.parametrize(
    ("derivation", "key", "block_bytes"),
    [(EMV, bytes(16), 16), (VISA2, bytes(16), 16), (KDF3, bytes(16), 8), ("none", bytes(16), 16)],
)
def test_a_derivation_of_another_cipher_is_refused(derivation: str, key: bytes, block_bytes: int) -> None:
    with pytest.raises(VaultError, match="is no derivation"):
        static_keys(master_of(key, block_bytes=block_bytes), derivation, [KDD])
