"""The one error root of the room `issuance`, and the errors of keys and certificates.

Every error has a stable `code`, one sentence that says what to do, and its facts as attributes. The facts are plain
numbers and words, so that an error can cross the vault's socket and be raised again on the other side. No secret is
ever a fact.
"""

from typing import ClassVar

Fact = str | int | None


class IssuanceError(Exception):
    """Root of everything this room raises on purpose."""

    code: ClassVar[str] = "issuance"

    def __init__(self, message: str, **facts: Fact) -> None:
        """Take the sentence for the user, and the facts, which become attributes."""
        super().__init__(message)
        self.facts: dict[str, Fact] = facts
        self.__dict__.update(facts)


class VaultError(IssuanceError):
    """The vault could not or would not do what was asked."""

    code = "vault"


class VaultUnlockError(VaultError):
    """The two custodians' passphrases do not open this vault."""

    code = "vault-unlock"
    path: str
    tries: str | None


class VaultPinLocked(VaultError):
    """The token takes no PIN any more, or would lock at the next wrong one (`tries` is none or last)."""

    code = "vault-pin-locked"
    path: str
    tries: str


class WeakPassphrase(VaultError):
    """A passphrase is too short, or both custodians typed the same one."""

    code = "weak-passphrase"


class VaultMissing(VaultError):
    """There is no vault file at the path."""

    code = "vault-missing"
    path: str


class VaultExists(VaultError):
    """A new vault would overwrite one that is there."""

    code = "vault-exists"
    path: str


class VaultDamaged(VaultError):
    """The vault file is not what was written; `previous` names the last good copy, if there is one."""

    code = "vault-damaged"
    path: str
    previous: str | None


class VaultBusy(VaultError):
    """Another process has this vault open."""

    code = "vault-busy"
    path: str


class VaultLocked(VaultError):
    """The vault has been closed; its keys are no longer in memory."""

    code = "vault-locked"


class VaultFull(VaultError):
    """The vault could not be saved: the disk is full or not writable. Nothing was changed."""

    code = "vault-full"
    path: str


class VaultUnavailable(VaultError):
    """The vault process does not answer on its socket."""

    code = "vault-unavailable"
    path: str


class VaultRefused(VaultError):
    """This kind of client may not ask for this work with this key."""

    code = "vault-refused"
    client: str
    work: str
    purpose: str | None


class VaultProtocolError(VaultError):
    """What came over the vault's socket is not a frame of its protocol."""

    code = "vault-protocol"


class UnknownKey(VaultError):
    """The vault holds no key of this purpose and version."""

    code = "unknown-key"
    purpose: str
    version: int | None


class UnusableKey(VaultError):
    """The key's state or algorithm does not allow this work."""

    code = "unusable-key"
    purpose: str
    version: int


class KeyPeriodOver(UnusableKey):
    """The key's cryptoperiod is over: it protects nothing new until a newer version takes its place."""

    code = "key-period-over"
    until: str


class ClockWentBack(VaultError):
    """The computer's clock shows a moment long before one the vault has seen; no period can be judged."""

    code = "clock-went-back"
    seen: str


class WrongCardKeys(VaultError):
    """The card's cryptogram does not fit the keys derived from this master key."""

    code = "wrong-card-keys"
    purpose: str
    version: int
    kvn: int


class BadComponent(VaultError):
    """A key component has the wrong length, or the components together do not give the expected check value."""

    code = "bad-component"


class PkiError(IssuanceError):
    """A certificate, list or signed object could not be made or was not accepted."""

    code = "pki"


class UnfitKey(PkiError):
    """A public key failed hygiene; `finding` names the check that failed."""

    code = "unfit-key"
    finding: str


class RequestRefused(PkiError):
    """A certificate request does not fit its profile or its issuer."""

    code = "certificate-refused"
    profile: str


class IssuerExpired(PkiError):
    """The issuing certificate is not valid at this time."""

    code = "issuer-expired"


class BadSettings(PkiError):
    """A profile or a setting of the certificate authority is unknown or contradicts itself."""

    code = "pki-settings"


class InvalidSecurityObject(PkiError):
    """A security object is malformed, has a wrong signature, or does not cover the data groups."""

    code = "invalid-security-object"


class InvalidStopList(PkiError):
    """A stop-list document is malformed, has a wrong signature, or does not follow the one before."""

    code = "invalid-stop-list"


ERROR_CLASSES: dict[str, type[IssuanceError]] = {
    cls.code: cls
    for cls in (
        VaultError,
        VaultUnlockError,
        VaultPinLocked,
        WeakPassphrase,
        VaultMissing,
        VaultExists,
        VaultDamaged,
        VaultBusy,
        VaultLocked,
        VaultFull,
        VaultUnavailable,
        VaultRefused,
        VaultProtocolError,
        UnknownKey,
        UnusableKey,
        KeyPeriodOver,
        ClockWentBack,
        WrongCardKeys,
        BadComponent,
    )
}
"""Errors that may cross the vault's socket, by code."""
