"""What can go wrong in planning: a calendar or rules that make no sense. Demand that does not fit is no error."""

from issuance.errors import IssuanceError


class PlanningError(IssuanceError):
    """The rules of a plan contradict themselves."""

    code = "planning"


class CalendarError(PlanningError):
    """The working-day calendar cannot be read or holds an entry that is none."""

    code = "calendar"
