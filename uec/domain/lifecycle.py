"""Hides which states there are and which moves are legal: one table a machine, one `advance()`.

The database repeats the guard: the migration generates triggers from `allowed_moves()` of the same tables.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from uec.domain import bureau, exports, phases, printing, sampling, stock, twins
from uec.domain.errors import IllegalMove


class ApplicationState(StrEnum):
    """Where a citizen's request stands."""

    SUBMITTED = "SUBMITTED"
    CHECKING = "CHECKING"
    CHECKED = "CHECKED"
    CHECK_FAILED = "CHECK_FAILED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    PLANNED = "PLANNED"
    IN_PRODUCTION = "IN_PRODUCTION"
    READY = "READY"
    CLOSED = "CLOSED"
    WITHDRAWN = "WITHDRAWN"


class ApplicationEvent(StrEnum):
    """What can happen to a request."""

    START_CHECKS = "START_CHECKS"
    CHECKS_MATCH = "CHECKS_MATCH"
    CHECKS_MISMATCH = "CHECKS_MISMATCH"
    APPROVE = "APPROVE"
    REJECT = "REJECT"
    PLAN = "PLAN"
    UNPLAN = "UNPLAN"
    PRODUCE = "PRODUCE"
    CARD_READY = "CARD_READY"
    REMAKE = "REMAKE"
    HAND_OVER = "HAND_OVER"
    WITHDRAW = "WITHDRAW"


class CardState(StrEnum):
    """Where a card of ours stands (not GlobalPlatform's card life cycle)."""

    PLANNED = "PLANNED"
    PREPARED = "PREPARED"
    WRITING = "WRITING"
    PERSONALISED = "PERSONALISED"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    LOST = "LOST"
    ANNULLED = "ANNULLED"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"
    SPOILED = "SPOILED"
    DESTROYED = "DESTROYED"


class CardEvent(StrEnum):
    """What can happen to a card."""

    PREPARE = "PREPARE"
    START_WRITING = "START_WRITING"
    RESUME_WRITING = "RESUME_WRITING"
    INSPECTED = "INSPECTED"
    SPOIL = "SPOIL"
    HAND_OVER = "HAND_OVER"
    SUSPEND = "SUSPEND"
    RESUME = "RESUME"
    REPORT_LOST = "REPORT_LOST"
    ANNUL = "ANNUL"
    REPLACE = "REPLACE"
    EXPIRE = "EXPIRE"
    DESTROY = "DESTROY"


class BatchState(StrEnum):
    """Where a batch of cards stands."""

    PLANNED = "PLANNED"
    RELEASED = "RELEASED"
    IN_PRODUCTION = "IN_PRODUCTION"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"


class BatchEvent(StrEnum):
    """What can happen to a batch."""

    RELEASE = "RELEASE"
    PRODUCE = "PRODUCE"
    CLOSE = "CLOSE"
    CANCEL = "CANCEL"


class OperationState(StrEnum):
    """Where one piece of work on one card in one reader stands."""

    REQUESTED = "REQUESTED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class OperationEvent(StrEnum):
    """What can happen to an operation."""

    CLAIM = "CLAIM"
    FINISH = "FINISH"
    FAIL = "FAIL"
    RELEASE = "RELEASE"
    CANCEL = "CANCEL"


class CohortState(StrEnum):
    """Where a list for mass emission stands."""

    DRAFT = "DRAFT"
    PROPOSED = "PROPOSED"
    APPROVED = "APPROVED"
    VOID = "VOID"


class CohortEvent(StrEnum):
    """What can happen to a list for mass emission."""

    PROPOSE = "PROPOSE"
    APPROVE = "APPROVE"
    EDIT = "EDIT"
    DISCARD = "DISCARD"


class CertificateState(StrEnum):
    """Where a certificate stands; INTENDED is stored before anything is signed."""

    INTENDED = "INTENDED"
    ISSUED = "ISSUED"
    HELD = "HELD"
    REVOKED = "REVOKED"


class CertificateEvent(StrEnum):
    """What can happen to a certificate."""

    ISSUE = "ISSUE"
    HOLD = "HOLD"
    RESUME = "RESUME"
    REVOKE = "REVOKE"


class OperationKind(StrEnum):
    """What an operation does with the card."""

    PERSONALISE = "PERSONALISE"
    INSPECT = "INSPECT"
    HAND_OVER = "HAND_OVER"
    READ = "READ"
    REKEY = "REKEY"
    TERMINATE = "TERMINATE"
    UNBLOCK = "UNBLOCK"


class CheckOutcome(StrEnum):
    """What a register said; UNAVAILABLE is never the same as MISMATCH."""

    PENDING = "PENDING"
    MATCH = "MATCH"
    MISMATCH = "MISMATCH"
    UNAVAILABLE = "UNAVAILABLE"


class CheckRegister(StrEnum):
    """Which register is asked."""

    SNILS = "SNILS"
    PASSPORT = "PASSPORT"
    RESIDENCE = "RESIDENCE"
    OMS = "OMS"


class Route(StrEnum):
    """How the request came in."""

    WEB = "WEB"
    WINDOW = "WINDOW"
    MASS = "MASS"


class ApplicationReason(StrEnum):
    """Why a card is asked for."""

    FIRST = "FIRST"
    DUPLICATE = "DUPLICATE"
    REPLACEMENT = "REPLACEMENT"
    RENEWAL = "RENEWAL"


_S, _E = ApplicationState, ApplicationEvent

APPLICATION: Mapping[tuple[ApplicationState, ApplicationEvent], ApplicationState] = {
    (_S.SUBMITTED, _E.START_CHECKS): _S.CHECKING,
    (_S.CHECKING, _E.CHECKS_MATCH): _S.CHECKED,
    (_S.CHECKING, _E.CHECKS_MISMATCH): _S.CHECK_FAILED,
    # Corrected data, or a clerk who saw the papers: ask the registers once more.
    (_S.CHECK_FAILED, _E.START_CHECKS): _S.CHECKING,
    (_S.CHECKED, _E.APPROVE): _S.APPROVED,
    (_S.CHECK_FAILED, _E.APPROVE): _S.APPROVED,
    (_S.CHECKED, _E.REJECT): _S.REJECTED,
    (_S.CHECK_FAILED, _E.REJECT): _S.REJECTED,
    (_S.APPROVED, _E.PLAN): _S.PLANNED,
    (_S.PLANNED, _E.UNPLAN): _S.APPROVED,
    (_S.PLANNED, _E.PRODUCE): _S.IN_PRODUCTION,
    (_S.IN_PRODUCTION, _E.CARD_READY): _S.READY,
    # A spoiled card: back to the pool, ahead of new orders.
    (_S.PLANNED, _E.REMAKE): _S.APPROVED,
    (_S.IN_PRODUCTION, _E.REMAKE): _S.APPROVED,
    (_S.READY, _E.REMAKE): _S.APPROVED,
    (_S.READY, _E.HAND_OVER): _S.CLOSED,
    (_S.SUBMITTED, _E.WITHDRAW): _S.WITHDRAWN,
    (_S.CHECKING, _E.WITHDRAW): _S.WITHDRAWN,
    (_S.CHECKED, _E.WITHDRAW): _S.WITHDRAWN,
    (_S.CHECK_FAILED, _E.WITHDRAW): _S.WITHDRAWN,
    (_S.APPROVED, _E.WITHDRAW): _S.WITHDRAWN,
    (_S.PLANNED, _E.WITHDRAW): _S.WITHDRAWN,
    (_S.READY, _E.WITHDRAW): _S.WITHDRAWN,
}

_C, _V = CardState, CardEvent

CARD: Mapping[tuple[CardState, CardEvent], CardState] = {
    (_C.PLANNED, _V.PREPARE): _C.PREPARED,
    (_C.PREPARED, _V.START_WRITING): _C.WRITING,
    (_C.WRITING, _V.RESUME_WRITING): _C.WRITING,
    (_C.WRITING, _V.INSPECTED): _C.PERSONALISED,
    (_C.PREPARED, _V.SPOIL): _C.SPOILED,
    (_C.WRITING, _V.SPOIL): _C.SPOILED,
    (_C.PERSONALISED, _V.SPOIL): _C.SPOILED,
    (_C.PERSONALISED, _V.HAND_OVER): _C.ACTIVE,
    (_C.ACTIVE, _V.SUSPEND): _C.SUSPENDED,
    (_C.SUSPENDED, _V.RESUME): _C.ACTIVE,
    (_C.PERSONALISED, _V.REPORT_LOST): _C.LOST,
    (_C.ACTIVE, _V.REPORT_LOST): _C.LOST,
    (_C.SUSPENDED, _V.REPORT_LOST): _C.LOST,
    (_C.PLANNED, _V.ANNUL): _C.ANNULLED,
    (_C.PREPARED, _V.ANNUL): _C.ANNULLED,
    (_C.PERSONALISED, _V.ANNUL): _C.ANNULLED,
    (_C.ACTIVE, _V.ANNUL): _C.ANNULLED,
    (_C.SUSPENDED, _V.ANNUL): _C.ANNULLED,
    (_C.LOST, _V.ANNUL): _C.ANNULLED,
    (_C.ACTIVE, _V.REPLACE): _C.REPLACED,
    (_C.SUSPENDED, _V.REPLACE): _C.REPLACED,
    (_C.LOST, _V.REPLACE): _C.REPLACED,
    (_C.EXPIRED, _V.REPLACE): _C.REPLACED,
    (_C.ACTIVE, _V.EXPIRE): _C.EXPIRED,
    (_C.SUSPENDED, _V.EXPIRE): _C.EXPIRED,
    (_C.PERSONALISED, _V.EXPIRE): _C.EXPIRED,
    (_C.SPOILED, _V.DESTROY): _C.DESTROYED,
    (_C.ANNULLED, _V.DESTROY): _C.DESTROYED,
    (_C.REPLACED, _V.DESTROY): _C.DESTROYED,
    (_C.EXPIRED, _V.DESTROY): _C.DESTROYED,
    (_C.LOST, _V.DESTROY): _C.DESTROYED,
}

BATCH: Mapping[tuple[BatchState, BatchEvent], BatchState] = {
    (BatchState.PLANNED, BatchEvent.RELEASE): BatchState.RELEASED,
    (BatchState.RELEASED, BatchEvent.PRODUCE): BatchState.IN_PRODUCTION,
    (BatchState.IN_PRODUCTION, BatchEvent.CLOSE): BatchState.CLOSED,
    (BatchState.PLANNED, BatchEvent.CANCEL): BatchState.CANCELLED,
    (BatchState.RELEASED, BatchEvent.CANCEL): BatchState.CANCELLED,
}

OPERATION: Mapping[tuple[OperationState, OperationEvent], OperationState] = {
    (OperationState.REQUESTED, OperationEvent.CLAIM): OperationState.RUNNING,
    (OperationState.RUNNING, OperationEvent.FINISH): OperationState.DONE,
    (OperationState.RUNNING, OperationEvent.FAIL): OperationState.FAILED,
    (OperationState.REQUESTED, OperationEvent.FAIL): OperationState.FAILED,
    # A hub that died: its operations go back to the queue and the card is recognised by what it answers.
    (OperationState.RUNNING, OperationEvent.RELEASE): OperationState.REQUESTED,
    (OperationState.REQUESTED, OperationEvent.CANCEL): OperationState.CANCELLED,
}

COHORT: Mapping[tuple[CohortState, CohortEvent], CohortState] = {
    (CohortState.DRAFT, CohortEvent.PROPOSE): CohortState.PROPOSED,
    (CohortState.PROPOSED, CohortEvent.APPROVE): CohortState.APPROVED,
    (CohortState.PROPOSED, CohortEvent.EDIT): CohortState.VOID,
    (CohortState.APPROVED, CohortEvent.EDIT): CohortState.VOID,
    (CohortState.DRAFT, CohortEvent.DISCARD): CohortState.VOID,
    (CohortState.PROPOSED, CohortEvent.DISCARD): CohortState.VOID,
    (CohortState.APPROVED, CohortEvent.DISCARD): CohortState.VOID,
}

CERTIFICATE: Mapping[tuple[CertificateState, CertificateEvent], CertificateState] = {
    (CertificateState.INTENDED, CertificateEvent.ISSUE): CertificateState.ISSUED,
    (CertificateState.ISSUED, CertificateEvent.HOLD): CertificateState.HELD,
    (CertificateState.HELD, CertificateEvent.RESUME): CertificateState.ISSUED,
    (CertificateState.ISSUED, CertificateEvent.REVOKE): CertificateState.REVOKED,
    (CertificateState.HELD, CertificateEvent.REVOKE): CertificateState.REVOKED,
    # Signed nothing yet, and never will: the key is void.
    (CertificateState.INTENDED, CertificateEvent.REVOKE): CertificateState.REVOKED,
}

# A row is born in one of these; the database refuses an INSERT in any other state.
INITIAL: Mapping[str, frozenset[str]] = {
    "application": frozenset({ApplicationState.SUBMITTED, ApplicationState.APPROVED}),
    "card": frozenset({CardState.PLANNED}),
    "batch": frozenset({BatchState.PLANNED}),
    "card_operation": frozenset({OperationState.REQUESTED}),
    "cohort": frozenset({CohortState.DRAFT}),
    "certificate": frozenset({CertificateState.INTENDED}),
    "stock_transfer": frozenset({stock.TransferState.SENT}),
    "stock_shift": frozenset({stock.ShiftState.OPEN}),
    "stock_destruction": frozenset({stock.DestructionState.PROPOSED}),
    "quarantine": frozenset({stock.QuarantineState.IMPOSED}),
    "twin_case": frozenset({twins.TwinState.OPEN}),
    "print_order": frozenset({printing.PrintState.ORDERED}),
    "card_look": frozenset({sampling.LookState.WANTED}),
    "policy_change": frozenset({phases.ChangeState.PROPOSED}),
    "public_notice": frozenset({phases.ChangeState.PROPOSED}),
    "bureau": frozenset({bureau.PartnerState.PROPOSED}),
    "bureau_certificate": frozenset({bureau.PartnerState.PROPOSED}),
    "bureau_order": frozenset({bureau.OrderState.DRAWN}),
    "bureau_card": frozenset({bureau.OrderedState.ORDERED}),
    "bureau_consignment": frozenset({bureau.ConsignmentState.ANNOUNCED}),
    "export_file": frozenset({exports.ExportState.WAITING}),
}

# Table name -> its machine; the migration makes the guards from this.
MACHINES: Mapping[str, Mapping[Any, StrEnum]] = {
    "application": APPLICATION,
    "card": CARD,
    "batch": BATCH,
    "card_operation": OPERATION,
    "cohort": COHORT,
    "certificate": CERTIFICATE,
    "stock_transfer": stock.TRANSFER,
    "stock_shift": stock.SHIFT,
    "stock_destruction": stock.DESTRUCTION,
    "quarantine": stock.QUARANTINE,
    "twin_case": twins.TWIN_CASE,
    "print_order": printing.PRINT,
    "card_look": sampling.LOOK,
    "policy_change": phases.CHANGE,
    "public_notice": phases.CHANGE,
    "bureau": bureau.PARTNER,
    "bureau_certificate": bureau.PARTNER,
    "bureau_order": bureau.ORDER,
    "bureau_card": bureau.ORDERED,
    "bureau_consignment": bureau.CONSIGNMENT,
    "export_file": exports.EXPORT,
}

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


def advance(table: Mapping[tuple[S, E], S], state: S, event: E) -> S:
    """Return the state after `event`, or raise `IllegalMove` when the table has no such move."""
    try:
        return table[state, event]
    except KeyError:
        raise IllegalMove(
            f"{event} is not possible in the state {state}; reload the page and look at the present state.",
            machine=type(state).__name__,
            state=state,
            event=event,
        ) from None


def allowed_moves(machine: str) -> list[tuple[str, str]]:
    """Return the sorted pairs (from, to) a table's rows may make, for the guard in the database."""
    return sorted({(str(state), str(target)) for (state, _), target in MACHINES[machine].items() if state != target})


def sources(table: Mapping[tuple[S, E], S], event: E) -> frozenset[S]:
    """Return the states from which `event` is possible, for conditional UPDATEs and for buttons on pages."""
    return frozenset(state for state, known in table if known == event)
