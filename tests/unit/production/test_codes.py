"""Codes that unblock cards: fair digits, two shares that make one code, and neither of which says anything."""

from collections import Counter
from itertools import cycle
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io.secret import Secret
from issuance.production import codes
from issuance.production.errors import UnfitPin
from issuance.production.pin_profile import Keeping, PinProfile

CODE = PinProfile("krp", "KRP", 3, 8, 8, 8, 10, after_hand_over=Keeping.SPLIT)
eight_digits = st.text("0123456789", min_size=8, max_size=8).map(lambda text: Secret(text.encode()))


@given(eight_digits, eight_digits)
def test_two_shares_make_a_code_of_as_many_digits_whichever_comes_first(one: Secret, other: Secret) -> None:
    code = codes.join(one, other).reveal()
    assert codes.join(other, one).reveal() == code
    added = [(int(chr(a)) + int(chr(b))) % 10 for a, b in zip(one.reveal(), other.reveal(), strict=True)]
    assert code.decode() == "".join(map(str, added))


@given(eight_digits, eight_digits)
def test_a_share_alone_leaves_every_code_possible(share: Secret, code: Secret) -> None:
    """For any code there is exactly one other share that makes it: so all are as likely as before."""
    digits = zip(code.reveal(), share.reveal(), strict=True)
    other = Secret(bytes(0x30 + (c - s) % 10 for c, s in digits))
    assert codes.join(share, other).reveal() == code.reveal()


@given(eight_digits, eight_digits, st.integers(0, 7), st.integers(1, 9))
def test_another_share_is_another_code(one: Secret, other: Secret, place: int, by: int) -> None:
    wrong = bytearray(one.reveal())
    wrong[place] = 0x30 + (wrong[place] - 0x30 + by) % 10
    assert codes.join(Secret(bytes(wrong)), other).reveal() != codes.join(one, other).reveal()


def test_shares_of_two_lengths_are_none() -> None:
    with pytest.raises(ValueError, match="shorter"):
        codes.join(Secret(b"12345678"), Secret(b"1234567"))


@given(st.integers(4, 12), st.randoms())
def test_drawn_digits_are_as_many_as_wanted(digits: int, source: Random) -> None:
    drawn = codes.draw(digits, random=source.randbytes).reveal()
    assert len(drawn) == digits and drawn.isdigit()


def test_every_digit_is_drawn_as_often_as_any_other() -> None:
    """All bytes in turn: those that would favour some digits are left out."""
    turning = cycle(range(256))
    drawn = codes.draw(5000, random=lambda count: bytes(next(turning) for _ in range(count))).reveal()
    assert set(Counter(drawn).values()) == {500}


def test_only_a_split_code_wants_the_offices_share() -> None:
    wanted = codes.shares_wanted([CODE], {"krp": Keeping.SPLIT})
    assert list(wanted.values()) == [8] and "krp" not in wanted, "derived under a name of its own"
    assert codes.shares_wanted([CODE], {"krp": Keeping.PRINTED}) == codes.shares_wanted([CODE], {}) == {}


def test_the_code_of_a_letter() -> None:
    (share,) = codes.shares_wanted([CODE], {"krp": Keeping.SPLIT})
    derived = {share: Secret(b"90909090")}
    letter = Secret(b"11111111")
    assert codes.whole(CODE, letter, kept=Keeping.PRINTED, derived={}).reveal() == b"11111111"
    assert codes.whole(CODE, letter, kept=Keeping.SPLIT, derived=derived).reveal() == b"01010101"


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        (b"1234567", "length"),
        (b"123456789", "length"),
        (b"", "digits"),
        (b"1234567a", "digits"),
        (b"1234 567", "digits"),
    ],
)
def test_what_is_no_code_is_refused_before_a_try_is_spent(typed: bytes, reason: str) -> None:
    for kept in Keeping:
        with pytest.raises(UnfitPin) as caught:
            codes.whole(CODE, Secret(typed), kept=kept, derived={})
        assert (caught.value.name, caught.value.reason) == ("krp", reason)
