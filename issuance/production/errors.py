"""Why a card was not written, in words that say what to do next."""

from issuance.errors import IssuanceError


class ProductionError(IssuanceError):
    """Something between a job and a good card."""

    code = "production"


class InvalidProfile(ProductionError):
    """A card profile that cannot be used; `place` is the dotted name of the key."""

    code = "invalid-profile"
    profile: str
    place: str
    reason: str

    def __init__(self, profile: str, place: str, reason: str) -> None:
        """Say which key of which profile, and why."""
        super().__init__(
            f"Card profile {profile}: {place}: {reason}. Correct the profile file and start again.",
            profile=profile,
            place=place,
            reason=reason,
        )


class InvalidCardData(ProductionError):
    """A fact about the card or its holder that does not fit the profile; `field` names it."""

    code = "invalid-card-data"
    field: str
    reason: str

    def __init__(self, field: str, reason: str) -> None:
        """Say which fact and why, never its content."""
        super().__init__(
            f"The card data field {field} {reason}. Correct the record and prepare the card again.",
            field=field,
            reason=reason,
        )


class SealBroken(ProductionError):
    """Sealed PINs that this process cannot open."""

    code = "seal-broken"

    def __init__(self) -> None:
        """The same sentence for every cause, so that nothing is told about the content."""
        super().__init__("The sealed PINs cannot be opened by this hub. Ask the holder to enter the PINs again.")


class WrongCard(ProductionError):
    """Another card than the job's lies in the reader; `expected` and `found` are chip identifiers or card numbers."""

    code = "wrong-card"
    expected: str
    found: str

    def __init__(self, expected: str, found: str) -> None:
        """Name both cards."""
        super().__init__(
            f"The reader holds card {found}, but this job is for card {expected}. Put in card {expected}.",
            expected=expected,
            found=found,
        )


class ChipTaken(ProductionError):
    """The chip belongs to another card of the office."""

    code = "chip-taken"
    chip_id: str
    card_number: str
    state: str
    batch_number: str

    def __init__(self, chip_id: str, card_number: str, state: str, batch_number: str) -> None:
        """Name the card and batch the chip belongs to."""
        super().__init__(
            f"This chip is already card {card_number} of batch {batch_number} ({state}). "
            "Take it out and put a blank card in.",
            chip_id=chip_id,
            card_number=card_number,
            state=state,
            batch_number=batch_number,
        )


class CardAlreadyActive(ProductionError):
    """The card has been handed over; nothing is written to it any more."""

    code = "card-active"
    card_number: str

    def __init__(self, card_number: str) -> None:
        """Name the card."""
        super().__init__(
            f"Card {card_number} has been handed over already. Take it out and give it to its holder.",
            card_number=card_number,
        )


class UnknownKeys(ProductionError):
    """The chip's keys are none that the vault can derive; it has not been asked a second time."""

    code = "unknown-keys"
    chip_id: str
    kvn: int

    def __init__(self, chip_id: str, kvn: int) -> None:
        """Name the chip and the key version it answered with."""
        super().__init__(
            f"Chip {chip_id} (key version {kvn:#04x}) holds keys that this office does not know. "
            "Set the card aside and report it to the key custodian; it has not been changed.",
            chip_id=chip_id,
            kvn=kvn,
        )


class ForeignCard(ProductionError):
    """Not a card of this profile: another product, or a chip that does not answer as a blank does."""

    code = "foreign-card"
    reason: str
    instead: str

    def __init__(self, reason: str, instead: str = "another card") -> None:
        """Say what does not fit, and which card to put in; `issuance.production.foreign` knows which."""
        super().__init__(
            f"This is not a card that can be used here: {reason}. Take it out and put {instead} in.",
            reason=reason,
            instead=instead,
        )


class Counterfeit(ProductionError):
    """A card that cannot prove what it says; `check` is the check that failed."""

    code = "counterfeit"
    check: str
    reason: str

    def __init__(self, check: str, reason: str) -> None:
        """Name the check."""
        super().__init__(
            f"The card does not prove to be genuine ({check}: {reason}). Keep it and call security.",
            check=check,
            reason=reason,
        )


class CardRefused(ProductionError):
    """The card answered a command with a status word that ends the work; `responses` end with that one."""

    code = "card-refused"
    label: str
    sw: int
    responses: tuple[bytes, ...] = ()

    def __init__(self, label: str, sw: int) -> None:
        """Name the step and the status word."""
        super().__init__(
            f"The card refused the step “{label}” with status {sw:04X}. "
            "Put it in again; if it refuses once more, scrap it.",
            label=label,
            sw=sw,
        )


class Unforeseen(ProductionError):
    """The card answered otherwise than was computed ahead; nothing was sent behind that. `responses` end with it."""

    code = "unforeseen-answer"
    label: str
    responses: tuple[bytes, ...]

    def __init__(self, label: str, responses: tuple[bytes, ...]) -> None:
        """Name the step."""
        super().__init__(f"The card answered the step “{label}” otherwise than it must. Put it in again.", label=label)
        self.responses = responses


class CardLost(ProductionError):
    """The card, the reader or the link went away in the middle; the journal knows how far it came.

    `responses` are those that the bundle still had.
    """

    code = "card-lost"
    label: str
    fault: str
    responses: tuple[bytes, ...] = ()

    def __init__(self, label: str, fault: str, detail: str = "") -> None:
        """Name the step after whose predecessor nothing is known; `detail` is the reader's own sentence."""
        super().__init__(
            f"The card stopped answering at “{label}” ({detail or fault}). Put the same card in again to finish it.",
            label=label,
            fault=fault,
        )


class CardLocked(ProductionError):
    """The card's life cycle is CARD_LOCKED or TERMINATED: it lets nobody at its applets."""

    code = "card-locked"

    def __init__(self) -> None:
        """It has no facts beside itself."""
        super().__init__("The card is locked, or was ended: it lets nobody at what is on it. Put it aside.")


class CardScrapped(ProductionError):
    """The card cannot be finished; it is spoiled and a fresh one takes its place."""

    code = "card-scrapped"
    card_number: str
    reason: str

    def __init__(self, card_number: str, reason: str) -> None:
        """Name the card and the reason."""
        super().__init__(
            f"Card {card_number} cannot be finished: {reason}. Put it with the spoiled cards; a new one is made.",
            card_number=card_number,
            reason=reason,
        )


class InspectionFailed(ProductionError):
    """A written card does not read back as it was ordered; `check` is the first check that failed."""

    code = "inspection-failed"
    check: str
    reason: str

    def __init__(self, check: str, reason: str) -> None:
        """Name the check."""
        super().__init__(
            f"The card failed its inspection at “{check}”: {reason}. Put it with the spoiled cards.",
            check=check,
            reason=reason,
        )


class PinRefused(ProductionError):
    """The card refused a PIN; `tries_left` says how many tries remain."""

    code = "pin-refused"
    name: str
    tries_left: int

    def __init__(self, name: str, tries_left: int) -> None:
        """Name the PIN, never its value."""
        super().__init__(
            f"The card refused {name}; {tries_left} tries are left. Check that it is the right card.",
            name=name,
            tries_left=tries_left,
        )


class UnblockRefused(ProductionError):
    """The card refused the code that unblocks it; `tries_left` says how many tries remain, 0 that it is blocked."""

    code = "unblock-refused"
    name: str
    tries_left: int

    def __init__(self, name: str, tries_left: int) -> None:
        """Name the code, never its value."""
        super().__init__(
            f"The code does not fit this card; {tries_left} tries are left. Let the holder type it again."
            if tries_left
            else "The code that unblocks this card is blocked itself. Replace the card.",
            name=name,
            tries_left=tries_left,
        )


class PadUnfit(ProductionError):
    """The reader's own keys do not do what is asked of them; nothing was typed that counts."""

    code = "pad-unfit"

    def __init__(self, detail: str = "") -> None:
        """`detail` is the reader's own sentence."""
        super().__init__(
            f"The keys of the reader cannot be used for this card ({detail or 'it refused to ask for the PIN'}). "
            "Let the holder type the PINs on the computer, or take another reader."
        )


class PadGivenUp(ProductionError):
    """The holder did not finish at the reader's keys, time and again; `reason` is how the last entry ended."""

    code = "pad-given-up"
    name: str
    reason: str

    def __init__(self, name: str, reason: str) -> None:
        """Name the PIN, and how its last entry ended: `timeout`, `cancelled`, `mismatch`, `length` or `unfit`."""
        super().__init__(
            f"The new {name} was not chosen at the reader's keys ({reason}). Begin again when the holder is ready.",
            name=name,
            reason=reason,
        )


class UnfitPin(ProductionError):
    """A PIN the holder may not choose; `reason` is `digits`, `length` or `trivial`."""

    code = "unfit-pin"
    name: str
    reason: str

    def __init__(self, name: str, reason: str) -> None:
        """Name the PIN and the rule, never the value."""
        rules = {
            "digits": "may hold digits only",
            "length": "has the wrong length",
            "trivial": "is too easy to guess",
        }
        super().__init__(f"The PIN {name} {rules[reason]}. Ask the holder to choose another.", name=name, reason=reason)
