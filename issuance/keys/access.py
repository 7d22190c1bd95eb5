"""Who may ask the vault for what: one table, by kind of client and purpose of key.

Each kind of client has its own socket, and the file permissions of that socket say which process is of that kind.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from issuance.errors import VaultRefused
from issuance.keys.port import KeyPurpose


class ClientKind(StrEnum):
    """The processes that talk to the vault. The web is not among them."""

    HUB = "hub"
    WORKER = "worker"
    SCHEDULER = "scheduler"
    CA = "ca"
    OCSP = "ocsp"
    CUSTODIAN = "custodian"


class Request(StrEnum):
    """What can be asked over the socket: the methods of the port."""

    IDENTITY = "identity"
    STEP = "step"
    GENERATE = "generate"
    DESCRIBE = "describe"
    ACTIVE = "active"
    PUBLIC_KEY = "public_key"
    SIGN = "sign"
    SIGN_DIGESTS = "sign_digests"
    CARD_SESSIONS = "card_sessions"
    FORETELL_SESSION = "foretell_session"
    PUT_KEY_DATA = "put_key_data"
    TRANSPORT_PINS = "transport_pins"
    ADMIN_KEY = "admin_key"
    BUREAU_KEYS = "bureau_keys"
    BUREAU_PINS = "bureau_pins"
    RANDOM = "random"


# What anyone may know: that a key exists, its check value and its public half.
OPEN_TO_ALL = frozenset({Request.IDENTITY, Request.DESCRIBE, Request.ACTIVE, Request.PUBLIC_KEY, Request.RANDOM})


@dataclass(frozen=True)
class Grant:
    """Requests a kind of client may make with keys of these purposes."""

    requests: frozenset[Request]
    purposes: frozenset[KeyPurpose]


_SIGNING = frozenset({Request.SIGN, Request.SIGN_DIGESTS})
_CARDS = frozenset({Request.CARD_SESSIONS, Request.FORETELL_SESSION, Request.PUT_KEY_DATA})

GRANTS: dict[ClientKind, tuple[Grant, ...]] = {
    # The hub holds the card's session: it opens it, certifies the keys the chip made, and signs the data groups.
    ClientKind.HUB: (
        Grant(_CARDS, frozenset({KeyPurpose.CARD_MASTER, KeyPurpose.BLANK_TRANSPORT})),
        Grant(frozenset({Request.ADMIN_KEY}), frozenset({KeyPurpose.CARD_MASTER})),
        Grant(frozenset({Request.TRANSPORT_PINS}), frozenset({KeyPurpose.PIN_MASTER})),
        Grant(_SIGNING, frozenset({KeyPurpose.CA_ISSUING, KeyPurpose.DOCUMENT_SIGNER, KeyPurpose.STATION})),
    ),
    # The worker publishes: revocation lists, answers about certificates, stop-lists, signed heads of the audit chains.
    ClientKind.WORKER: (
        # Office and vault count on together.
        Grant(frozenset({Request.STEP}), frozenset(KeyPurpose)),
        Grant(
            _SIGNING,
            frozenset({KeyPurpose.CA_ISSUING, KeyPurpose.DOCUMENT_SIGNER, KeyPurpose.AUDIT, KeyPurpose.OCSP}),
        ),
        # It makes the files for bureaux, and sees of the cards' keys only what is wrapped for the bureau.
        Grant(
            frozenset({Request.BUREAU_KEYS}),
            frozenset({KeyPurpose.BUREAU_TRANSPORT, KeyPurpose.BLANK_TRANSPORT, KeyPurpose.CARD_MASTER}),
        ),
        Grant(frozenset({Request.BUREAU_PINS}), frozenset({KeyPurpose.BUREAU_TRANSPORT, KeyPurpose.PIN_MASTER})),
    ),
    # The scheduler only starts work; at most it signs that the audit is where it was.
    ClientKind.SCHEDULER: (Grant(_SIGNING, frozenset({KeyPurpose.AUDIT})),),
    ClientKind.CA: (
        Grant(
            _SIGNING,
            frozenset(
                {
                    KeyPurpose.CA_ROOT,
                    KeyPurpose.CA_ISSUING,
                    KeyPurpose.DOCUMENT_SIGNER,
                    KeyPurpose.OCSP,
                    KeyPurpose.STATION,
                    KeyPurpose.AUDIT,
                }
            ),
        ),
    ),
    ClientKind.OCSP: (Grant(_SIGNING, frozenset({KeyPurpose.OCSP})),),
    ClientKind.CUSTODIAN: (Grant(frozenset({Request.GENERATE}), frozenset(KeyPurpose)),),
}


def require(client: ClientKind, request: Request, purposes: frozenset[KeyPurpose]) -> None:
    """Raise `VaultRefused` unless this kind of client may make this request with keys of all these purposes."""
    if request in OPEN_TO_ALL:
        return
    granted = frozenset[KeyPurpose]().union(*(grant.purposes for grant in GRANTS[client] if request in grant.requests))
    refused = sorted(purposes - granted)
    if refused or not granted:
        purpose = refused[0] if refused else None
        raise VaultRefused(
            f"{client} may not ask the vault for {request} with a key for {purpose or 'any purpose'}",
            client=client,
            work=request,
            purpose=purpose,
        )


def socket_for(base: Path, client: ClientKind) -> Path:
    """Return the socket of a kind of client: `vault.sock` becomes `vault-hub.sock`."""
    return base.with_name(f"{base.stem}-{client}{base.suffix}")
