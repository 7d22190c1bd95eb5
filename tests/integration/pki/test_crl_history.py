"""Lists over a history of suspensions: a complete list with the delta after it says what the next one says."""

from collections.abc import Mapping
from datetime import timedelta

from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from issuance.pki.crl import (
    REASON_CODES,
    RevocationReason,
    RevokedEntry,
    build_crl,
    build_delta,
    encode_entry,
    encode_removal,
)
from tests.support.pki import TODAY, Authority

SERIALS = st.integers(1, 5)
ACTIONS = st.lists(st.tuples(SERIALS, st.sampled_from(["hold", "resume", "revoke"])), max_size=14)
State = Mapping[int, RevokedEntry]


def after(state: State, actions: list[tuple[int, str]]) -> dict[int, RevokedEntry]:
    """The revoked and held certificates after some decisions; what is revoked for good stays so."""
    result = dict(state)
    for minute, (serial, action) in enumerate(actions):
        held = serial in result and result[serial].reason is RevocationReason.CERTIFICATE_HOLD
        at = TODAY + timedelta(minutes=minute)
        if action == "hold" and serial not in result:
            result[serial] = RevokedEntry(serial, at, RevocationReason.CERTIFICATE_HOLD)
        elif action == "resume" and held:
            del result[serial]
        elif action == "revoke" and (held or serial not in result):
            result[serial] = RevokedEntry(serial, at, RevocationReason.KEY_COMPROMISE)
    return result


def delta_entries(before: State, now: State) -> list[bytes]:
    """What a delta lists: entries that are new or changed, and removals of those that are gone."""
    changed = [encode_entry(entry) for serial, entry in now.items() if before.get(serial) != entry]
    gone = [encode_removal(serial, entry.revoked_at) for serial, entry in before.items() if serial not in now]
    return changed + gone


def said(data: bytes) -> dict[int, tuple[str, object]]:
    """What a list says of each serial number: reason and date, as the library reads them."""
    crl = x509.load_der_x509_crl(data)
    return {
        item.serial_number: (
            item.extensions.get_extension_for_class(x509.CRLReason).value.reason.name,
            item.revocation_date_utc,
        )
        for item in crl
    }


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(first=ACTIONS, second=ACTIONS)
def test_a_list_and_its_delta_say_what_the_next_list_says(
    authority: Authority, first: list[tuple[int, str]], second: list[tuple[int, str]]
) -> None:
    signer, dates = authority.ca.signer, {"this_update": TODAY, "next_update": TODAY + timedelta(days=1)}
    before = after({}, first)
    now = after(before, second)
    base = said(build_crl(signer, number=1, entries=map(encode_entry, before.values()), **dates))
    delta = said(build_delta(signer, number=2, base_number=1, entries=delta_entries(before, now), **dates))
    complete = said(build_crl(signer, number=2, entries=map(encode_entry, now.values()), **dates))
    base.update(delta)
    applied = {serial: what for serial, what in base.items() if what[0] != "remove_from_crl"}
    assert applied == complete
    assert {serial: what[0] for serial, what in complete.items()} == {
        serial: entry.reason.name.lower() for serial, entry in now.items()
    }


def test_the_order_of_entries_is_kept(authority: Authority) -> None:
    entries = [encode_entry(RevokedEntry(serial, TODAY)) for serial in (9, 3, 7)]
    data = build_crl(
        authority.ca.signer, number=1, entries=entries, this_update=TODAY, next_update=TODAY + timedelta(days=1)
    )
    assert [item.serial_number for item in x509.load_der_x509_crl(data)] == [9, 3, 7]
    assert b"".join(entries) in data


def test_an_entry_is_encoded_once_and_for_all() -> None:
    entry = RevokedEntry(1 << 127, TODAY, RevocationReason.SUPERSEDED)
    assert encode_entry(entry) == encode_entry(entry)
    assert len({encode_entry(RevokedEntry(1, TODAY, reason)) for reason in REASON_CODES}) == len(REASON_CODES)
