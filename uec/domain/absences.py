"""Hides what becomes of a resident whom a full export of the register does not name any more.

Nobody is deleted for it: a clerk decides whether the person stays, and until then no list of mass emission has them.
"""

from enum import StrEnum

from uec.domain.errors import IllegalMove


class AbsenceState(StrEnum):
    """OPEN: a clerk is asked; STAYS and GONE: what the clerk decided; BACK: a later export names the person again."""

    OPEN = "OPEN"
    STAYS = "STAYS"
    GONE = "GONE"
    BACK = "BACK"


# In these a resident gets no card that nobody asked for.
OUT = (AbsenceState.OPEN, AbsenceState.GONE)


def decided(state: AbsenceState, verdict: AbsenceState) -> AbsenceState:
    """The state after a clerk's verdict; raises `IllegalMove` for what is decided or back, and for no verdict."""
    if state is not AbsenceState.OPEN or verdict not in {AbsenceState.STAYS, AbsenceState.GONE}:
        raise IllegalMove(
            f"An absence that is {state} cannot become {verdict}: reload the page.",
            machine="absence",
            state=state,
            event=verdict,
        )
    return verdict
