"""Giving a card other keys: PUT KEY, its check values, and a channel with the new set before anything counts on it.

GlobalPlatform v2.3.1, 11.8. The intent is recorded before PUT KEY leaves, so both key versions of a torn card are
known: whichever it answers with next time is the one it has. KEY_CHANGED is recorded when the card has told the check
values of the new keys and its answer to INITIALIZE UPDATE was made with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from card_io import globalplatform as gp
from card_io.errors import CardError
from issuance.keys.port import KeyRef, PutKeyData, PutKeyRequest
from issuance.production.asking import Talk, body, note, put_key_data
from issuance.production.bundle import PutKeyWanted, RecordKind, Step
from issuance.production.errors import Counterfeit
from issuance.production.profile import SecureChannelProfile
from issuance.production.secured import SecureChannel, open_channel
from issuance.production.writing import Write

MAKER_KVN = 0xFF
"""The key version of chips as made; it goes away when a set is added (PUT KEY with P1 00), not replaced by number."""


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A change of keys that was intended. `steps` end with INITIALIZE UPDATE of the new set."""

    chip_id: str
    master: KeyRef
    kvn: int
    data: PutKeyData
    host_challenge: bytes
    old: SecureChannel
    begun_at: int
    put_at: int
    steps: tuple[Step, ...]

    @property
    def facts(self) -> dict[str, object]:
        """What the journal keeps of it."""
        return {"chip_id": self.chip_id, "kvn": self.kvn, "key_version": self.master.version}


def intend(
    current: KeyRef,
    new: KeyRef,
    *,
    before: Sequence[Write] = (),
    chip_id: str,
    channel: SecureChannel,
    secure: SecureChannelProfile,
    challenge: bytes,
) -> Talk[KeyChange]:
    """Ask the vault for the key data and record the intent; `channel` is one with the keys `current`.

    `before` goes to the card in front of PUT KEY: what is refused there stops the change.
    """
    kvn = secure.kvn(new.version)
    request = PutKeyRequest(
        current=current,
        new=new,
        kdd=channel.card.kdd,
        new_kvn=kvn,
        derivation=secure.derivation,
        aes_form=secure.aes_form,
    )
    data = yield from put_key_data(PutKeyWanted(request))
    replaced = 0 if channel.kvn == MAKER_KVN else channel.kvn
    put_key = gp.put_key_data(replaced, 1, data.key_data, count=len(data.check_values))
    begun = len(channel.opening)
    first = [Step(channel.session.wrap(item.command), item.expect, item.label) for item in before]
    steps = (
        *channel.opening,
        *first,
        Step(channel.session.wrap(put_key), label="change_keys"),
        Step(gp.select(secure.isd_aid).encode(), label="change_keys"),
        Step(gp.initialize_update(kvn, challenge).encode(), label="change_keys"),
    )
    change = KeyChange(chip_id, new, kvn, data, challenge, channel, begun, begun + len(first), steps)
    yield from note(RecordKind.KEY_CHANGE_INTENT, **change.facts, from_kvn=channel.kvn)
    return change


class KeysNotTaken(Counterfeit):
    """The check values are not those of the keys that the card was given."""


def check(change: KeyChange, responses: Sequence[bytes]) -> None:
    """The card has taken the keys that it was given; raises `KeysNotTaken`. `responses` are those to the steps.

    Raises a mere `Counterfeit` when somebody altered the answer on its way: it says nothing about the card.
    """
    try:
        answers = [change.old.session.unwrap(one) for one in responses[change.begun_at : change.put_at + 1]]
        answer = body(answers[-1])
    except CardError as error:
        raise Counterfeit("secure channel", str(error)) from error
    try:
        gp.check_put_key_answer(answer, change.kvn, change.data.check_values)
    except CardError as error:
        raise KeysNotTaken("key change", str(error)) from error


def enter(change: KeyChange, responses: Sequence[bytes], secure: SecureChannelProfile) -> Talk[SecureChannel]:
    """Check the answers to the steps, and open the channel with the new keys; raises what `check` and that do."""
    check(change, responses)
    answer = body(responses[len(change.steps) - 1])
    try:
        return (
            yield from open_channel(
                answer,
                host_challenge=change.host_challenge,
                master=change.master,
                profile=secure,
                chip_id=change.chip_id,
            )
        )
    except CardError as error:
        raise KeysNotTaken("key change", str(error)) from error


def changed(change: KeyChange, **more: object) -> Talk[None]:
    """Record that the card has its new keys."""
    values = [value.hex() for value in change.data.check_values]
    yield from note(RecordKind.KEY_CHANGED, **change.facts, check_values=values, **more)
