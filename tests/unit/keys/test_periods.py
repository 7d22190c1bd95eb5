"""Cryptoperiods: warned ahead, over at the moment they end, and a clock that went back is no way around them."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from issuance.errors import ClockWentBack, KeyPeriodOver, UnusableKey
from issuance.keys import periods
from issuance.keys.file_vault import FileVault
from issuance.keys.keyring import CLOCK_TOLERANCE, KeyRing, Work
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.periods import PERIODS, WARN_AHEAD, Period
from issuance.keys.port import KeyAlgorithm, KeyInfo, KeyPurpose, KeyRef, KeyState
from tests.support.keys import CHEAP, NOW, PASSPHRASES, fill

REF = KeyRef(KeyPurpose.CARD_MASTER, 1)
END = NOW + PERIODS[KeyPurpose.CARD_MASTER]
SECOND = timedelta(seconds=1)


def ring() -> KeyRing:
    made = KeyRing()
    made.add(REF, KeyAlgorithm.AES_128, "000000", NOW)
    made.move(REF, KeyEvent.ACTIVATE)
    return made


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOW, Period.RUNNING),
        (END - WARN_AHEAD - SECOND, Period.RUNNING),
        (END - WARN_AHEAD, Period.ENDING),
        (END - SECOND, Period.ENDING),
        (END, Period.OVER),
        (END + timedelta(days=9999), Period.OVER),
    ],
)
def test_a_period_is_judged_by_the_moment(at: datetime, expected: Period) -> None:
    assert periods.judge(ring().get(REF), at) is expected


@pytest.mark.parametrize("state", [KeyState.RETIRED, KeyState.COMPROMISED, KeyState.DESTROYED])
def test_a_key_that_protects_nothing_new_has_no_period_to_end(state: KeyState) -> None:
    info = replace(ring().get(REF), state=state)
    assert periods.judge(info, END + SECOND) is Period.RUNNING
    periods.require_running(info, END + SECOND)


def test_every_purpose_has_a_period() -> None:
    assert set(PERIODS) == set(KeyPurpose)
    assert min(PERIODS.values()) > WARN_AHEAD


def test_past_its_period_a_key_opens_cards_and_nothing_else() -> None:
    made = ring()
    made.use(REF, Work.KEY_CARD, 1, END - SECOND)
    with pytest.raises(KeyPeriodOver) as caught:
        made.use(REF, Work.KEY_CARD, 1, END)
    assert (caught.value.purpose, caught.value.version, caught.value.until) == ("card-master", 1, END.isoformat())
    assert "uec keys rotate" in str(caught.value)
    made.use(REF, Work.OPEN_CARD, 1, END)
    assert made.get(REF).uses == 2


def test_a_newer_version_takes_over_and_the_old_one_serves_on() -> None:
    made = ring()
    second = made.next_ref(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128)
    made.add(second, KeyAlgorithm.AES_128, "111111", END)
    made.move(second, KeyEvent.ACTIVATE)
    made.use(second, Work.KEY_CARD, 1, END)
    made.use(REF, Work.OPEN_CARD, 1, END)
    assert (made.get(second).uses, made.get(REF).uses) == (1, 1)
    with pytest.raises(UnusableKey):
        made.use(REF, Work.KEY_CARD, 1, END)


def test_a_period_is_moved_while_the_key_is_in_use_only() -> None:
    made = ring()
    made.set_period(REF, END + timedelta(days=1))
    made.use(REF, Work.KEY_CARD, 1, END)
    made.move(REF, KeyEvent.RETIRE)
    with pytest.raises(UnusableKey):
        made.set_period(REF, END + timedelta(days=2))


def test_periods_and_the_moment_seen_are_kept() -> None:
    made = ring()
    made.set_period(REF, END + timedelta(days=1))
    items = [item for _, item in made.to_json()]
    again = KeyRing.from_json(items, NOW.isoformat())
    assert again.get(REF).expires_at == END + timedelta(days=1) and again.seen == NOW


def test_keys_of_a_vault_from_before_there_were_periods_get_the_usual_one() -> None:
    items = [{key: value for key, value in item.items() if key != "expires_at"} for _, item in ring().to_json()]
    assert KeyRing.from_json(items).get(REF).expires_at == END
    assert KeyInfo(REF, KeyAlgorithm.AES_128, KeyState.ACTIVE, NOW, "000000", 0).expires_at is None


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_vault_judges_by_its_own_clock(tmp_path: Path, clock: Clock) -> None:
    with FileVault.create(tmp_path / "vault", PASSPHRASES, cost=CHEAP, clock=clock) as vault:
        fill(vault)
        ref = vault.active(KeyPurpose.OCSP)
        vault.sign(ref, [b"x"])
        clock.now = NOW + PERIODS[KeyPurpose.OCSP]
        with pytest.raises(KeyPeriodOver):
            vault.sign(ref, [b"x"])
        assert vault.describe(KeyPurpose.OCSP)[0].uses == 1
        vault.set_period(ref, clock.now + timedelta(days=1))
        vault.sign(ref, [b"x"])
        vault.sign(vault.generate(KeyPurpose.OCSP, KeyAlgorithm.EC_P256, now=clock.now), [b"x"])
        clock.now += timedelta(days=2)
        vault.sign(ref, [b"the lists of what it issued"])  # retired


def test_a_clock_that_jumps_back_stops_new_work_until_custodians_have_looked(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "vault"
    with FileVault.create(path, PASSPHRASES, cost=CHEAP, clock=clock) as vault:
        fill(vault)
        clock.now = NOW + timedelta(days=400)
        vault.sign(vault.active(KeyPurpose.OCSP), [b"x"])
    with FileVault.unlock(path, PASSPHRASES, clock=clock) as vault:  # what was seen outlives a restart
        ref = vault.active(KeyPurpose.OCSP)
        clock.now -= CLOCK_TOLERANCE
        vault.sign(ref, [b"set right by an hour"])
        clock.now -= SECOND
        with pytest.raises(ClockWentBack) as caught:
            vault.sign(ref, [b"x"])
        assert "set the clock right" in str(caught.value)
        assert caught.value.seen == (NOW + timedelta(days=400)).isoformat()
        vault.trust_clock()
        vault.sign(ref, [b"x"])
        assert len(vault.random(4)) == 4
