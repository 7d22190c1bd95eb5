"""What services hand to pages, the API and the command line: frozen rows without a session behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Generic, TypeVar

from uec.domain.lifecycle import (
    ApplicationReason,
    ApplicationState,
    BatchState,
    CardState,
    CheckOutcome,
    CheckRegister,
    CohortState,
    OperationKind,
    OperationState,
    Route,
)

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """A slice of a longer list: `total` rows exist, or `about` so many; `rows` start at `offset`.

    With `keyed` the next page can be asked for as the one after the last row's id, which is quick however far down.
    """

    rows: tuple[Row, ...]
    total: int
    offset: int
    limit: int
    about: bool = False
    keyed: bool = False


@dataclass(frozen=True)
class Receipt:
    """What an applicant takes home. `secret` is shown once; only its hash is kept."""

    number: str
    secret: str
    submitted_at: datetime
    due_on: date
    # The card variant chosen; empty: the office's usual one.
    profile: str = ""


@dataclass(frozen=True)
class ApplicationStatusView:
    """What number and secret open: no personal data, only where the request stands."""

    number: str
    state: ApplicationState
    submitted_at: datetime
    due_on: date
    promised_on: date | None
    point_name_ru: str
    point_name_en: str
    point_address: str
    decision_reason: str | None
    card_ready: bool


@dataclass(frozen=True)
class PointView:
    """A place where applications are taken and cards handed over."""

    id: int
    code: str
    name_ru: str
    name_en: str
    address: str
    windows: int
    daily_capacity: int


@dataclass(frozen=True)
class ApplicationRow:
    """One line of the office's list."""

    id: int
    number: str
    state: ApplicationState
    route: Route
    reason: ApplicationReason
    full_name: str
    birth_date: date
    point_id: int
    submitted_at: datetime
    due_on: date


@dataclass(frozen=True)
class CheckView:
    """What one register said, and when it is asked again."""

    register: CheckRegister
    outcome: CheckOutcome
    detail: str
    attempts: int
    next_attempt_at: datetime | None
    answered_at: datetime | None


@dataclass(frozen=True)
class ApplicationDetail:
    """Everything an officer needs for a decision; whoever opened it stands in the audit."""

    id: int
    number: str
    state: ApplicationState
    route: Route
    reason: ApplicationReason
    surname: str
    name: str
    patronymic: str
    birth_date: date
    birth_place: str
    sex: str
    snils: str
    oms: str
    document: str
    address: str
    phone: str
    email: str
    bank: str
    point: PointView
    representative_name: str | None
    has_photo: bool
    submitted_at: datetime
    due_on: date
    taken_by: str | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None
    checks: tuple[CheckView, ...]
    card_id: int | None
    card_number: str | None
    replaces_card_id: int | None
    version: int
    # The card variant asked for; empty: the office's usual one.
    profile: str = ""


@dataclass(frozen=True)
class BatchRow:
    """A batch in a list or in the calendar. `cards` counts by card state."""

    id: int
    number: str
    state: BatchState
    planned_for: date
    point_id: int
    point_name_ru: str
    point_name_en: str
    total: int
    cards: Mapping[CardState, int] = field(default_factory=dict)
    planned_by: str | None = None
    released_by: str | None = None
    released_at: datetime | None = None
    line: str | None = None
    departs_on: date | None = None


@dataclass(frozen=True)
class CalendarDay:
    """A day: `capacity` cards that the lines can make on it, and `made` that they make for all points.

    `planned` of them in `count` batches are for the point asked for; `batches` are all of these, or the first where
    they are too many to be told apart.
    """

    day: date
    working: bool
    capacity: int
    made: int
    planned: int
    count: int
    batches: tuple[BatchRow, ...]


@dataclass(frozen=True)
class PlanOutcome:
    """What planning did: the new batches, how many cards come late, how many found no room, and why."""

    batches: tuple[BatchRow, ...]
    cards: int
    late: int
    unplaced: Mapping[str, int]


@dataclass(frozen=True)
class CardRow:
    """One line of the list of cards."""

    id: int
    number: str
    state: CardState
    full_name: str
    printed_name: str
    expires_on: date | None
    batch_number: str
    application_number: str
    point_id: int


@dataclass(frozen=True)
class CertificateView:
    """A certificate of a card."""

    profile: str
    serial: str
    subject: str
    state: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class JournalView:
    """One entry of a card's production journal."""

    seq: int
    kind: str
    at: datetime
    facts: Mapping[str, object]


@dataclass(frozen=True)
class CardDetail:
    """A card with its certificates, journal and operations; whoever opened it stands in the audit."""

    row: CardRow
    application_id: int
    batch_id: int
    chip_id: str | None
    key_version: int | None
    personalised_at: datetime | None
    activated_at: datetime | None
    replaces_card_id: int | None
    certificates: tuple[CertificateView, ...]
    journal: tuple[JournalView, ...]
    operations: tuple["OperationView", ...]
    version: int


@dataclass(frozen=True)
class OperationView:
    """A piece of work on one card in one reader; `progress` is step, of, label as the hub wrote it last."""

    id: int
    kind: OperationKind
    state: OperationState
    card_id: int | None
    station_id: int | None
    reader: str | None
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: Mapping[str, object]
    result: Mapping[str, object]
    error_code: str | None
    error_text: str | None


@dataclass(frozen=True)
class StationView:
    """A station as last seen; `readers` are its readers as it reported them (name and whether a card lies in it).

    `waits_until` is the end of its one-time code, of a station that was not enrolled yet.
    """

    id: int
    name: str
    point_id: int | None
    online: bool
    last_seen_at: datetime | None
    readers: tuple[Mapping[str, object], ...]
    waits_until: datetime | None = None


@dataclass(frozen=True)
class CohortView:
    """A list for mass emission; `digest` is the Merkle root (hex) two people put their names to.

    Before it is `computed` there is neither count nor root. `profile` is the card variant its people get; None: the
    office's usual one. While it is `opening`, workers open its applications; `opened` is how many they have so far.
    """

    id: int
    number: str
    state: CohortState
    as_of: date
    computed: bool
    count: int
    digest: str
    profile: str | None
    proposed_by: str | None
    approved_by: str | None
    approved_at: datetime | None
    opening: bool
    opened: int

    @property
    def in_work(self) -> bool:
        """Whether workers have yet to do something that was asked of the list."""
        return not self.computed or self.opening


@dataclass(frozen=True)
class ChecksRun:
    """What one run of the checks did, in register answers and in applications settled."""

    asked: int
    unavailable: int
    matched: int
    mismatched: int
