"""Hides the dates, ages and periods of the law, which a region or an act may move: dated versions, no constants.

Defaults: Federal Law 210-FZ, chapter 6, arts 22-28, as it stood for 2013-2016.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from difflib import get_close_matches
from typing import Any

from uec.domain.errors import InvalidInput, InvalidSettings
from uec.domain.quality import Band
from uec.domain.sampling import SamplingPlan


@dataclass(frozen=True)
class Policy:
    """The rules in force on a day. Ages in full years, periods in calendar days unless the name says otherwise."""

    # Art. 23, 25: on application, then to everybody who neither applied nor refused.
    on_application_from: date = date(2013, 1, 1)
    mass_emission_from: date = date(2014, 1, 1)
    entitled_age_years: int = 14
    validity_years: int = 5
    production_days: int = 30
    replacement_days: int = 30
    refusal_window_days: int = 60
    bank_choice_days: int = 30
    storage_days: int = 180
    # Batches that a person planned are released by the clock so many days ahead; 0: by a second person, always.
    release_ahead_days: int = 0
    # Days after which a card that lies at its point is reminded of, and days before a card or certificate ends.
    unclaimed_reminder_days: tuple[int, ...] = (14, 60, 150)
    expiry_reminder_days: tuple[int, ...] = (60, 14)
    default_bank: str = ""
    pin1_digits: tuple[int, int] = (4, 8)
    pin2_digits: tuple[int, int] = (6, 8)
    crl_days: int = 7
    crl_delta_hours: int = 24
    ocsp_hours: int = 24
    check_first_retry_s: int = 30
    check_last_retry_s: int = 3600
    quality_allowed: float = 0.03
    quality_intolerable: float = 0.20
    quality_false_alarm_every: int = 20_000
    # Of a line's batch so many are looked at that this share of bad cards is noticed so surely.
    look_limit: float = 0.05
    look_certainty: float = 0.90
    # Lists that workers make into files can be taken for so long; then they are gone.
    export_keep_days: int = 7
    # Where the office keeps its calendar; the setting `timezone`, not a rule of the law.
    zone: tzinfo = UTC

    def day(self, moment: datetime) -> date:
        """Return the office's calendar day of an aware moment."""
        return moment.astimezone(self.zone).date()

    @property
    def quality_band(self) -> Band:
        """The failure rates of cards that readers, stations, chip lots and operators are judged by."""
        return Band(self.quality_allowed, self.quality_intolerable, self.quality_false_alarm_every)

    @property
    def sampling_plan(self) -> SamplingPlan:
        """How many cards of a line's batch somebody looks at."""
        return SamplingPlan(self.look_limit, self.look_certainty)

    def due_on(self, submitted_on: date) -> date:
        """Return the last day by which the card of a request must lie at the point."""
        return submitted_on + timedelta(days=self.production_days)

    def replaced_on(self, submitted_on: date) -> date:
        """Return the last day by which a duplicate or replacement must lie at the point."""
        return submitted_on + timedelta(days=self.replacement_days)

    def expires_on(self, made_on: date) -> date:
        """Return the last day of validity of a card made on a day; 29 February falls on 28 February."""
        return add_years(made_on, self.validity_years) - timedelta(days=1)

    def needs_representative(self, birth_date: date, on: date) -> bool:
        """Tell whether the person is so young that the legal representative applies and signs."""
        return age_on(birth_date, on) < self.entitled_age_years

    def applications_open(self, on: date) -> bool:
        """Tell whether requests are taken on the day."""
        return on >= self.on_application_from

    def mass_emission_open(self, on: date) -> bool:
        """Tell whether cards go to those who neither applied nor refused on the day."""
        return on >= self.mass_emission_from


def age_on(birth_date: date, on: date) -> int:
    """Return the full years of a person born on `birth_date`, on the day `on`."""
    return on.year - birth_date.year - ((on.month, on.day) < (birth_date.month, birth_date.day))


def add_years(day: date, years: int) -> date:
    """Return the same day `years` later; 29 February becomes 28 February where it must."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)


def sensible(day: date, field: str) -> date:
    """The day of a rule, a notice or a list, if the office can mean it; raise `InvalidInput` for a slip of the pen."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise InvalidInput(f"Give a day from {FIRST_DAY:%d.%m.%Y} to {LAST_DAY:%d.%m.%Y}.", field=field)
    return day


@dataclass(frozen=True)
class PolicyBook:
    """All versions of the policy, each from its first day; sorted by that day.

    `stated` is what was said for each of these days: also that a rule stays as it is, which holds against an earlier
    day's change that comes later.
    """

    first: Policy
    changes: tuple[tuple[date, Policy], ...] = ()
    stated: tuple[tuple[date, Mapping[str, Any]], ...] = ()

    def on(self, day: date) -> Policy:
        """Return the policy in force on the day."""
        current = self.first
        for valid_from, policy in self.changes:
            if valid_from <= day:
                current = policy
        return current

    def day(self, moment: datetime) -> date:
        """Return the office's calendar day of an aware moment."""
        return self.first.day(moment)

    @property
    def zone(self) -> tzinfo:
        """Where the office keeps its calendar."""
        return self.first.zone

    def at(self, moment: datetime) -> Policy:
        """Return the policy in force at an aware moment, by the office's calendar."""
        return self.on(self.day(moment))

    def amended(self, changes: Sequence[tuple[date, Mapping[str, Any]]]) -> "PolicyBook":
        """Return the book with more dated rules laid over it; of two of one day the later in the sequence counts."""
        stated = sorted([*self.stated, *changes], key=lambda pair: pair[0])
        current, versions = self.first, []
        for valid_from, rules in stated:
            current = replace(current, **rules)
            versions.append((valid_from, current))
        return replace(self, changes=tuple(versions), stated=tuple(stated))


# What the office itself may change by a dated act; the rest is the installation's.
OFFICE_RULES = (
    "on_application_from", "mass_emission_from", "entitled_age_years", "validity_years", "production_days",
    "replacement_days", "refusal_window_days", "bank_choice_days", "storage_days", "default_bank",
)  # fmt: skip
_LONGEST = {"years": 100, "days": 3650}
_BANK_LIMIT = 120


def rule_of(name: str, text: str) -> date | int | str:
    """Read the new value of one of `OFFICE_RULES` as somebody typed it; raise `InvalidInput` with what it must be."""
    if name not in OFFICE_RULES:
        raise InvalidInput(f"{name} is no rule that the office changes.", field="rule")
    kind, text = type(getattr(Policy(), name)), text.strip()
    if kind is date:
        return _day(text)
    if kind is int:
        most = _LONGEST[name.rpartition("_")[2]]
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= most):
            raise InvalidInput(f"Give a whole number from 1 to {most}.", field="value")
        return int(text)
    if len(text) > _BANK_LIMIT or not text.isprintable():
        raise InvalidInput(f"Give a name of at most {_BANK_LIMIT} letters.", field="value")
    return text


def _day(text: str) -> date:
    for form in ("%Y-%m-%d", "%d.%m.%Y"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    raise InvalidInput("Give a day like 31.12.2026.", field="value")


def _checked(values: dict[str, Any], where: str) -> dict[str, Any]:
    kinds = {item.name: item.default for item in fields(Policy) if item.name != "zone"}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in kinds:
            near = next(iter(get_close_matches(key, sorted(kinds), n=1)), None)
            raise InvalidSettings(
                f"{where}.{key} is not a rule of the policy; "
                + (f"did you mean {near}?" if near else f"known are: {', '.join(kinds)}."),
                key=f"{where}.{key}",
                near=near,
            )
        wanted = type(kinds[key])
        given = tuple(value) if wanted is tuple and isinstance(value, list) else value
        if type(given) is not wanted:
            raise InvalidSettings(
                f"{where}.{key} must be of the kind {wanted.__name__}, like {kinds[key]!r}.",
                key=f"{where}.{key}",
                near=None,
            )
        checked[key] = given
    return checked


def load_policy(values: dict[str, Any], *, zone: tzinfo = UTC) -> PolicyBook:
    """Build the book from the `[policy]` table; each `[[policy.changes]]` overrides from its `from` date on."""
    base = dict(values)
    changes: Sequence[dict[str, Any]] = base.pop("changes", [])
    current = replace(Policy(), zone=zone, **_checked(base, "policy"))
    dated = []
    for change in changes:
        entry = dict(change)
        valid_from = entry.pop("from", None)
        if type(valid_from) is not date:
            raise InvalidSettings(
                "Each [[policy.changes]] needs `from = YYYY-MM-DD`.", key="policy.changes.from", near=None
            )
        dated.append((valid_from, _checked(entry, "policy.changes")))
    return PolicyBook(current).amended(dated)
