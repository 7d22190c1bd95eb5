"""Which work may be asked for by whom, at which card, and what it is for: tables alone."""

from uec.domain.lifecycle import BatchState, CardState, OperationKind, OperationState
from uec.domain.permissions import Permission
from uec.services.duties import Duty

OPEN = (OperationState.REQUESTED, OperationState.RUNNING)
GIVING = (OperationKind.PERSONALISE, OperationKind.HAND_OVER)
"""Work that gives somebody a card, so that it is asked once more whether the person may have one."""
MAKING = (OperationKind.PERSONALISE, OperationKind.INSPECT)
"""Work after which a card lies ready for its holder."""
UNGIVEN = (CardState.PREPARED, CardState.WRITING, CardState.PERSONALISED)
"""States of a card that nobody has yet."""
RELEASED = (BatchState.RELEASED, BatchState.IN_PRODUCTION)
ENDED = (
    CardState.LOST,
    CardState.ANNULLED,
    CardState.REPLACED,
    CardState.EXPIRED,
    CardState.SPOILED,
    CardState.DESTROYED,
)
"""Cards that nobody uses any more; one that came back may be made mute for good."""
PERMISSION = {
    OperationKind.PERSONALISE: Permission.PRODUCE_CARD,
    OperationKind.INSPECT: Permission.PRODUCE_CARD,
    OperationKind.HAND_OVER: Permission.HAND_OVER_CARD,
    OperationKind.READ: Permission.VIEW_PERSON,
    OperationKind.REKEY: Permission.HAND_OVER_CARD,
    OperationKind.TERMINATE: Permission.HAND_OVER_CARD,
    OperationKind.UNBLOCK: Permission.HAND_OVER_CARD,
}
DUTY = {
    OperationKind.PERSONALISE: Duty.PRODUCE,
    OperationKind.INSPECT: Duty.PRODUCE,
    OperationKind.HAND_OVER: Duty.HAND_OVER,
}
STATES = {
    OperationKind.PERSONALISE: (CardState.PREPARED, CardState.WRITING),
    OperationKind.INSPECT: (CardState.WRITING, CardState.PERSONALISED),
    OperationKind.HAND_OVER: (CardState.PERSONALISED,),
    OperationKind.REKEY: (CardState.PERSONALISED, CardState.ACTIVE, CardState.SUSPENDED),
    OperationKind.TERMINATE: ENDED,
    OperationKind.UNBLOCK: (CardState.ACTIVE,),
}
