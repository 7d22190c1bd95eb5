"""Do the office and the vault still belong together? After one of them was restored from an older copy, they do not.

The office remembers the vault it last worked with and the newest version of each key it relied on. Both count on by one
(the vault's generation) every five seconds in which anything was done, and at once when a key changes.
A vault that knows less has been restored; an office that remembers less has been. Either way nothing may be issued
before a person has decided, because card numbers or key versions could be given a second time (serial numbers of
certificates are 128 random bits).

What can go unnoticed is an office set back by less than those seconds, and it gives nothing twice on a card: between a
card's number and its chip lie the release by a second person, the preparation of its data and a station's claim, each
committed before the next, so that no card is written with a number younger than that. Counting on costs two commits
of the office and one write of the vault, 9 ms of processor time (0.2 % of a core); with every card it would cost
more than the card's own signatures.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from issuance.errors import VaultError
from issuance.keys.port import KeyInfo, KeyPurpose, VaultIdentity


class Finding(StrEnum):
    """How the two disagree."""

    OTHER_VAULT = "other-vault"
    OLDER_VAULT = "older-vault"
    OLDER_OFFICE = "older-office"
    LOST_KEY = "lost-key"
    CHANGED_KEY = "changed-key"


class Disagreement(VaultError):
    """The office's memory and the vault do not fit; `finding` says how."""

    code = "vault-disagreement"
    finding: str


@dataclass(frozen=True)
class Memory:
    """What the office remembers: the vault as it was last, and each key's check value by purpose and version.

    `step` is the generation that the vault was about to be asked for: it may have got there or not.
    """

    identity: VaultIdentity
    check_values: Mapping[tuple[KeyPurpose, int], str]
    step: int = 0


def remember(identity: VaultIdentity, keys: Iterable[KeyInfo]) -> Memory:
    """Return what to store after every change of the vault that the office has heard of."""
    return Memory(identity, {(info.ref.purpose, info.ref.version): info.check_value for info in keys})


def require_agreement(memory: Memory, identity: VaultIdentity, keys: Iterable[KeyInfo]) -> None:
    """Raise `Disagreement` unless the vault is the remembered one, exactly as new."""
    present = remember(identity, keys).check_values
    if identity.vault_id != memory.identity.vault_id:
        raise _disagree(Finding.OTHER_VAULT, "this is another vault than the one the office has worked with")
    if identity.generation < memory.identity.generation:
        raise _disagree(Finding.OLDER_VAULT, "the vault is an older copy than the office remembers")
    for (purpose, version), value in memory.check_values.items():
        found = present.get((purpose, version))
        if found is None:
            raise _disagree(Finding.LOST_KEY, f"the vault has lost {purpose} version {version}")
        if found != value:
            raise _disagree(
                Finding.CHANGED_KEY, f"{purpose} version {version} is another key than the office remembers"
            )
    if identity.generation not in (memory.identity.generation, memory.step):
        raise _disagree(Finding.OLDER_OFFICE, "the vault has changed since the office last heard of it")


def _disagree(finding: Finding, sentence: str) -> Disagreement:
    return Disagreement(
        f"{sentence}: issue nothing, find out which of the two was restored, and let two custodians decide",
        finding=finding.value,
    )
