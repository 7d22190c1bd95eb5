"""Bundles under SCP03: keys from the vault, commands wrapped ahead, answers checked in order when they are back.

GlobalPlatform Amendment D 1.1.1, section 6. Hides the session from those who write; a wrong MAC on an answer closes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from card_io.errors import CardError, SecureChannelError
from card_io.scp03 import InitializeUpdateResponse, Scp03Session, parse_initialize_update
from issuance.errors import WrongCardKeys
from issuance.keys.port import CardSessionRequest, KeyRef
from issuance.production.asking import Talk, body, bundle, session_keys
from issuance.production.bundle import SessionKeysWanted, Step
from issuance.production.errors import Counterfeit, ForeignCard, UnknownKeys
from issuance.production.profile import SecureChannelProfile
from issuance.production.writing import Write


@dataclass(slots=True)
class SecureChannel:
    """A channel whose EXTERNAL AUTHENTICATE goes in front of the first bundle.

    `card` is the answer to INITIALIZE UPDATE. A `fresh` one begins with a new connection. `moves` are what is left of
    the card's own life cycle, once it has told its state.
    """

    session: Scp03Session
    card: InitializeUpdateResponse
    opening: list[Step] = field(default_factory=list)
    fresh: bool = False
    moves: list[Write] = field(default_factory=list)

    @property
    def kvn(self) -> int:
        """The version of the keys it is opened with."""
        return self.card.kvn

    @property
    def seen(self) -> dict[str, object]:
        """What the journal keeps of it, so that the card's next session can be computed ahead; else nothing."""
        card = self.card
        if not card.foretellable:
            return {}
        return {"session": {"kdd": card.kdd.hex(), "kvn": card.kvn, "i": card.i, "counter": card.sequence_counter}}


def open_channel(
    response: bytes, *, host_challenge: bytes, master: KeyRef, profile: SecureChannelProfile, chip_id: str
) -> Talk[SecureChannel]:
    """A channel from the data of an INITIALIZE UPDATE answer and the vault's session keys for it.

    Raises `UnknownKeys` when the card's cryptogram is not that of `master` (nothing was sent to the card),
    `ForeignCard` when the card cannot do the profile's level.
    """
    card = parse_initialize_update(response)
    request = CardSessionRequest(
        master=master,
        kdd=card.kdd,
        host_challenge=host_challenge,
        initialize_update_response=response,
        i=card.i,
        s_mode=card.s_mode,
        derivation=profile.derivation,
    )
    try:
        keys = yield from session_keys(SessionKeysWanted(request))
        session = Scp03Session(keys, profile.level, host_challenge=host_challenge, card=card)
    except WrongCardKeys as error:
        raise UnknownKeys(chip_id, card.kvn) from error
    except SecureChannelError as error:
        raise ForeignCard(f"its secure channel does not fit ({error})") from error
    return SecureChannel(session, card, [Step(session.external_authenticate(), label="open_channel")])


def write(channel: SecureChannel, writes: Sequence[Write]) -> Talk[tuple[list[bytes], tuple[bytes, ...]]]:
    """Send the commands wrapped, in one trip; the plain response data, and the raw answers to what opened the channel.

    `Counterfeit` when an answer's MAC is wrong, `Unforeseen` when a channel computed ahead was not opened.
    """
    opening, channel.opening = channel.opening, []
    wrapped = [Step(channel.session.wrap(item.command), item.expect, item.label) for item in writes]
    responses = yield from bundle([*opening, *wrapped], fresh=channel.fresh and bool(opening))
    try:
        answers = [body(channel.session.unwrap(response)) for response in responses[len(opening) :]]
    except CardError as error:
        raise Counterfeit("secure channel", str(error)) from error
    return answers, responses[: len(opening)]
