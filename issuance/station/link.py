"""The way to the hub: a WebSocket, over TLS unless the hub is on this machine, to one pinned key or a certified name.

The pin is checked right after the handshake, before a word of the protocol is said (RFC 7469, section 2.4: SHA-256 of
the SubjectPublicKeyInfo).
"""

import contextlib
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from issuance.station.errors import HubAway, HubImpostor, HubUnsafe
from issuance.station.wire import MESSAGE_MAX_BYTES

PING_S = 10.0
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@contextlib.asynccontextmanager
async def hub(url: str, pin: str) -> AsyncIterator[ClientConnection]:
    """A link to the hub; whatever goes wrong with it becomes `HubAway`.

    Raises `HubUnsafe` for an address that is neither protected nor on this machine, `HubImpostor` when another key than
    the pinned one answers.
    """
    parts = urlsplit(url)
    if parts.scheme != "wss" and parts.hostname not in LOOPBACK:
        raise HubUnsafe(url)
    tls = None if parts.scheme != "wss" else _pinned() if pin else ssl.create_default_context()
    limits = {"max_size": MESSAGE_MAX_BYTES, "ping_interval": PING_S, "ping_timeout": PING_S}
    try:
        async with connect(url, ssl=tls, **limits) as link:  # type: ignore[arg-type]
            if parts.scheme == "wss" and pin:
                _require(link, url, pin)
            yield link
    except (OSError, WebSocketException) as error:
        raise HubAway(url, str(error) or type(error).__name__) from error


def _pinned() -> ssl.SSLContext:
    """No authority and no name is asked: the key alone counts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _require(link: ClientConnection, url: str, pin: str) -> None:
    session: ssl.SSLObject = link.transport.get_extra_info("ssl_object")
    certificate = session.getpeercert(binary_form=True) or b""
    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    found = hashlib.sha256(spki).hexdigest()
    if not hmac.compare_digest(found, pin.lower()):
        raise HubImpostor(url, found)
