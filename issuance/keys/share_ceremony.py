"""A ceremony with a k-of-n split: the custodians of k shares enter theirs in turn, and the key is there.

Pure part, beside `issuance.keys.ceremony`; who may enter what is the same rule (`issuance.keys.custodians`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from card_io.secret import Secret
from issuance.errors import BadComponent
from issuance.keys import custodians, material, shares
from issuance.keys.custodians import Place, Scheme, WrongCustodian
from issuance.keys.port import KeyAlgorithm, KeyPurpose


@dataclass(frozen=True)
class EnteredShare:
    """A share that a custodian has entered; its check value may be shown and printed."""

    custodian: str
    share: shares.Share

    @property
    def place(self) -> Place:
        """Which part of the key it is."""
        return Place(Scheme.SHARE, self.share.number)

    @property
    def check_value(self) -> str:
        """Six hex digits."""
        return self.share.check_value


@dataclass(frozen=True)
class ShareCeremony:
    """A ceremony under way; `history` says which part each known custodian has had."""

    purpose: KeyPurpose
    algorithm: KeyAlgorithm
    history: Mapping[str, Place]
    entered: tuple[EnteredShare, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse what no ceremony can make; raises `BadComponent`."""
        if self.purpose not in material.SYMMETRIC_PURPOSES or not material.fits(self.purpose, self.algorithm):
            raise BadComponent(f"a key for {self.purpose} is not put together from {self.algorithm} shares")

    @property
    def missing_count(self) -> int | None:
        """How many more shares are needed; None before the first one has told."""
        return self.entered[0].share.threshold - len(self.entered) if self.entered else None

    def enter(self, custodian: str, words: Secret, check_value: str) -> "ShareCeremony":
        """Return the ceremony after a custodian entered a share, with the check value printed beside it.

        Raises `WrongCustodian` for a person who has held another part or a share that is entered already,
        `BadComponent` for words that are mistyped, of another set or another length.
        """
        share = shares.read(words.reveal().decode(errors="replace"))
        if share.check_value != check_value.strip().upper():
            raise BadComponent(
                f"the share has check value {share.check_value}: compare it with the paper, enter it again"
            )
        self._check_set(share)
        entered = EnteredShare(custodian, share)
        done = [(item.custodian, item.place) for item in self.entered]
        if entered.place in (place for _, place in done) or self.missing_count == 0:
            raise WrongCustodian(f"{entered.place} is not needed any more", custodian=custodian, place=share.number)
        custodians.require(custodian, entered.place, self.history, done)
        return replace(self, entered=(*self.entered, entered))

    def _check_set(self, share: shares.Share) -> None:
        if share.key_bytes != material.size_of(self.algorithm):
            raise BadComponent(
                f"this share is of a key of {share.key_bytes} bytes: {self.algorithm} has another length"
            )
        if self.entered and share.set_id != self.entered[0].share.set_id:
            raise BadComponent("this share is of another key than the first one: bring the one of the same set")

    def key(self) -> Secret:
        """Return the key; raises `BadComponent` while a share is missing or when one does not belong."""
        if self.missing_count != 0:
            raise BadComponent(f"{self.missing_count or 'all'} shares are still to be entered")
        return shares.combine([item.share.words for item in self.entered])

    def check_value(self) -> str:
        """Return the key's own check value: compare it with the paper before the key is taken into the vault."""
        return material.symmetric_check_value(self.key(), self.algorithm)

    def parts(self) -> str:
        """How the key was divided, for the protocol."""
        return f"{self.entered[0].share.threshold} shares (SLIP-39 set {self.entered[0].share.set_id})"
