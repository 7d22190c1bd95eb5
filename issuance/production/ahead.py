"""One round trip for a whole card: a session computed before the card is there, all of it sent in a single bundle.

GlobalPlatform Amendment D, 6.2.2.1: with the pseudo-random card challenge (bit 10 of `i`) the card's challenge follows
from its static Key-ENC and a sequence counter, so that whoever keeps the static keys can foretell the answer to
INITIALIZE UPDATE. What needs an answer of the card, such as the certificate of a key pair it makes, cannot go this way.

A counter that has moved on makes the card refuse EXTERNAL AUTHENTICATE, where the station stops: nothing was written.
"""

from collections.abc import Sequence

from card_io import globalplatform as gp
from card_io.errors import CardError
from card_io.keyset import SessionKeys
from card_io.scp03 import InitializeUpdateResponse, Scp03Session, card_cryptogram, parse_initialize_update
from issuance.production.asking import Talk, body, bundle
from issuance.production.bundle import Step
from issuance.production.errors import Counterfeit, UnknownKeys
from issuance.production.profile import SecureChannelProfile
from issuance.production.writing import Write


def write_ahead(
    writes: Sequence[Write],
    *,
    keys: SessionKeys,
    foretold: InitializeUpdateResponse,
    host_challenge: bytes,
    profile: SecureChannelProfile,
    chip_id: str,
) -> Talk[list[bytes]]:
    """Open the channel and send every command in one trip; the plain answers.

    `keys` are the session keys for `host_challenge` and the foretold card challenge. Raises `UnknownKeys` when the card
    answered another challenge or cryptogram, `Counterfeit` when an answer's MAC is wrong, `CardRefused` for a command
    that was refused, which is EXTERNAL AUTHENTICATE where the counter has moved on.
    """
    session = Scp03Session(keys, profile.level, host_challenge=host_challenge, card=foretold)
    opening = [
        Step(gp.select(profile.isd_aid).encode(), label="find_card"),
        Step(gp.initialize_update(foretold.kvn, host_challenge).encode(), label="open_channel"),
        Step(session.external_authenticate(), label="open_channel"),
    ]
    wrapped = [Step(session.wrap(item.command), item.expect, item.label) for item in writes]
    responses = yield from bundle([*opening, *wrapped], fresh=True)
    try:
        answered = parse_initialize_update(body(responses[1]))
        proof = card_cryptogram(keys, host_challenge, answered.card_challenge)
        if answered.card_challenge != foretold.card_challenge or answered.card_cryptogram != proof:
            raise UnknownKeys(chip_id, answered.kvn)
        return [body(session.unwrap(response)) for response in responses[len(opening) :]]
    except CardError as error:
        raise Counterfeit("secure channel", str(error)) from error
