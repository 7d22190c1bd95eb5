"""What batches are made by: working days, policy, the card profile, numbers, the size of a lot, what is frozen."""

from dataclasses import dataclass

from issuance.planning.calendar import WorkingCalendar
from uec.domain.policy import Policy


@dataclass(frozen=True)
class BatchRules:
    """Batches of the next `freeze_days` working days are cut at `batch_limit` cards and stay as they are.

    The plan reaches `horizon_days` from today; None: as far as serving everybody takes.
    """

    calendar: WorkingCalendar
    policy: Policy
    profile: str
    transport: str
    number_prefix: str
    horizon_days: int | None = None
    freeze_days: int = 5
    batch_limit: int = 500
