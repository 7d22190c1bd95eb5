"""The canonical form of an audit entry: fixed for ever, since old exports must verify for ever."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from uec.store.audit import CHAINS, GENESIS, canonical, chain_of, entry_hash, moment

ENTRY = {
    "chain": 3,
    "seq": 1,
    "at": "2014-06-02T09:30:15.123456Z",
    "actor": "staff:7",
    "action": "card.suspend",
    "subject_kind": "card",
    "subject_id": "12",
    "person_id": None,
    "details": {"причина": "утеря", "a": [1, True, None, 1.5]},
}
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_the_form_is_written_down_here_byte_for_byte() -> None:
    text = (
        '{"action":"card.suspend","actor":"staff:7","at":"2014-06-02T09:30:15.123456Z","chain":3,'
        '"details":{"a":[1,true,null,1.5],"причина":"утеря"},"person_id":null,"previous_hash":"'
        + "00" * 32
        + '","seq":1,"subject_id":"12","subject_kind":"card"}'
    )
    assert entry_hash(ENTRY, GENESIS) == hashlib.sha256(text.encode()).digest()


@given(st.dictionaries(st.text(max_size=5), plain, max_size=4))
def test_order_of_keys_does_not_matter(details: dict[str, object]) -> None:
    turned = dict(reversed(details.items()))
    assert entry_hash(ENTRY | {"details": details}, GENESIS) == entry_hash(ENTRY | {"details": turned}, GENESIS)


@given(plain, plain)
def test_different_values_have_different_forms(one: object, two: object) -> None:
    assert (canonical(one) == canonical(two)) == (repr(_sorted(one)) == repr(_sorted(two)))


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return [(key, _sorted(value[key])) for key in sorted(value)]
    return ["list", *map(_sorted, value)] if isinstance(value, list) else value


def test_every_field_counts() -> None:
    true = entry_hash(ENTRY, GENESIS)
    for name in ENTRY:
        assert entry_hash(ENTRY | {name: "other"}, GENESIS) != true
    assert entry_hash(ENTRY, b"\x01" * 32) != true


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), st.integers(-12, 14))
def test_a_moment_is_the_same_in_every_zone(at: datetime, hours: int) -> None:
    utc = at.replace(tzinfo=UTC)
    assert moment(utc) == moment(utc.astimezone(timezone(timedelta(hours=hours))))
    assert len(moment(utc)) == len("2014-06-02T09:30:15.123456Z")


def test_subjects_spread_over_all_chains_and_stay() -> None:
    used = [chain_of("card", str(number)) for number in range(2000)]
    assert set(used) == set(range(CHAINS))
    assert max(used.count(chain) for chain in range(CHAINS)) < 2 * 2000 / CHAINS
    assert chain_of("card", "1") == chain_of("card", "1") != chain_of("application", "1")
