"""The card's own life cycle: a finished card is SECURED where its profile says so (GlobalPlatform v2.3.1, 5.1.1).

In SECURED every command to the issuer domain needs a MAC, and the card never goes back. The state is asked for in the
trip that writes the data and set behind FINISH, so it costs no round trip. FINISH_INTENT is the intent of this step
too: a card torn between FINISH and SECURED is asked again when it comes back, and moved on.
"""

from collections.abc import Sequence

from card_io import globalplatform as gp
from card_io.errors import CardError
from issuance.production.asking import Talk
from issuance.production.bundle import SW_OK
from issuance.production.errors import Counterfeit, ForeignCard
from issuance.production.profile import CardProfile
from issuance.production.secured import SecureChannel, write
from issuance.production.writing import Write

SW_NO_MOVE = (0x6985, 0x6A80, 0x6A86, 0x6A88)
"""What cards answer to a change of their state that does not lead on from the one they are in."""
_WAY = (gp.CardLifeCycle.OP_READY, gp.CardLifeCycle.INITIALIZED, gp.CardLifeCycle.SECURED)


def ask(profile: CardProfile) -> list[Write]:
    """GET STATUS of the issuer domain, whose life cycle is the card's; nothing where the profile leaves it alone."""
    if not profile.secure_channel.secures_card:
        return []
    command = gp.get_status(gp.Subset.ISSUER_SECURITY_DOMAIN, tags=(0x4F, 0x9F70))
    return [Write(command, "card_state")]


def told(profile: CardProfile, answers: Sequence[bytes]) -> int | None:
    """The state that the last of `answers` tells (the one to `ask`); None where the profile leaves it alone.

    Raises `ForeignCard` for a card that is locked, `Counterfeit` for one that does not tell its state.
    """
    if not profile.secure_channel.secures_card:
        return None
    try:
        state = gp.parse_registry(answers[-1])[0].life_cycle
    except (CardError, IndexError) as error:
        raise Counterfeit("life cycle", "it does not tell its state") from error
    if state not in tuple(_WAY):
        raise ForeignCard(f"its life cycle state is {state:02X}: it is locked, or ended")
    return state


def moves(profile: CardProfile, state: int | None) -> list[Write]:
    """The way from a state that was told to SECURED."""
    isd = profile.secure_channel.isd_aid
    return [] if state is None else [Write(gp.set_card_status(step, isd), "finish") for step in _WAY if step > state]


def unasked(profile: CardProfile) -> list[Write]:
    """The whole way to SECURED for a card whose state nobody asked, then the question.

    Steps that lie behind the card already it refuses, which does no harm.
    """
    if not profile.secure_channel.secures_card:
        return []
    isd = profile.secure_channel.isd_aid
    steps = [Write(gp.set_card_status(step, isd), "finish", (SW_OK, *SW_NO_MOVE)) for step in _WAY[1:]]
    return steps + ask(profile)


def left(profile: CardProfile, answers: Sequence[bytes]) -> list[Write]:
    """What is left to do by the answers to `unasked`, which is nothing as a rule; raises what `told` does."""
    return moves(profile, told(profile, answers))


def secure(profile: CardProfile, channel: SecureChannel) -> Talk[None]:
    """Move a finished card that was torn before it was SECURED, in one round trip."""
    steps = unasked(profile)
    if not steps:
        return
    answers, _ = yield from write(channel, steps)
    if behind := left(profile, answers):
        yield from write(channel, behind)
