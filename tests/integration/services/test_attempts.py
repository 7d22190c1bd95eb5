"""Attempts counted for all web processes together: the same answers as one exact window in memory, also at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW
from uec.services import attempts
from uec.store.tables import AttemptWindow

KEY = b"k" * 32
PERIOD = timedelta(minutes=5)


def count(session: Session, sender: str, now: datetime, *, limit: int = 3) -> timedelta | None:
    return attempts.count(session, "sign-in", sender, limit=limit, period=PERIOD, key=KEY, now=now)


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25, deadline=None
)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 200)), max_size=25))
def test_the_window_is_exact(sessions: sessionmaker[Session], tries: list[tuple[str, int]]) -> None:
    with sessions() as session:
        session.execute(delete(AttemptWindow))
        session.commit()
        moment, model = NOW, dict[str, list[datetime]]()
        for sender, seconds in tries:
            moment += timedelta(seconds=seconds)
            lately = [one for one in model.get(sender, []) if moment - one < PERIOD]
            allowed = len(lately) < 3
            asked = attempts.waits(session, "sign-in", sender, limit=3, period=PERIOD, key=KEY, now=moment)
            wait = count(session, sender, moment)
            assert (wait is None) == allowed and (asked is None) == allowed
            if wait is not None:
                assert abs(wait - (PERIOD - (moment - lately[0]))) < timedelta(milliseconds=1)
            model[sender] = [*lately, moment] if allowed else lately


def test_two_processes_never_let_the_last_attempt_through_twice(sessions: sessionmaker[Session]) -> None:
    def attempt(_number: int) -> bool:
        with sessions() as session:
            return count(session, "192.0.2.1", NOW, limit=5) is None

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(16))) == 5


def test_nobodys_address_is_stored_and_old_senders_are_forgotten(session: Session) -> None:
    count(session, "192.0.2.1", NOW)
    (row,) = session.scalars(select(AttemptWindow))
    assert "192.0.2.1" not in row.sender and len(row.sender) == 64
    assert attempts.sweep(session, now=NOW + PERIOD) == 0
    assert attempts.sweep(session, now=NOW + PERIOD + timedelta(seconds=1)) == 1


def test_who_proved_honest_starts_anew_and_a_wrong_clock_holds_nobody_off(session: Session) -> None:
    for _ in range(3):
        assert count(session, "a", NOW + timedelta(days=365)) is None
    assert count(session, "a", NOW) is None, "what a clock gone ahead wrote does not count"
    for _ in range(2):
        count(session, "a", NOW)
    assert count(session, "a", NOW) == PERIOD
    attempts.forget(session, "sign-in", "a", key=KEY)
    assert count(session, "a", NOW) is None
