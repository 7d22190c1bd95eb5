"""The way to the hub: a WebSocket, over TLS unless the hub is on this machine, to one pinned key or a certified name.

The pin is checked right after the handshake, before a word of the protocol is said (RFC 7469, section 2.4: SHA-256 of
the SubjectPublicKeyInfo). Several pins may be given, for hubs with keys of their own or for the key that comes next.
"""

import contextlib
import hashlib
import hmac
import importlib.util
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidURI, WebSocketException
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from issuance.station.diagnosis import told
from issuance.station.errors import BadAddress, HubAway, HubImpostor, HubUnsafe
from issuance.station.wire import MESSAGE_MAX_BYTES

PING_S = 10.0
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@contextlib.asynccontextmanager
async def hub(url: str, pin: str) -> AsyncIterator[ClientConnection]:
    """A link to the hub; whatever goes wrong with it becomes `HubAway`, with its cause.

    `pin` is one pin, several parted by commas, or empty. Raises `BadAddress` for an address that is none, `HubUnsafe`
    for one that is neither protected nor on this machine, `HubImpostor` when another key than a pinned one answers.
    """
    proxy = check_address(url)
    tls = None if not url.startswith("wss:") else _pinned() if pin else ssl.create_default_context()
    limits = {"max_size": MESSAGE_MAX_BYTES, "ping_interval": PING_S, "ping_timeout": PING_S}
    try:
        async with connect(url, ssl=tls, proxy=proxy, **limits) as link:  # type: ignore[arg-type]
            if tls is not None and pin:
                _require(link, url, pin)
            yield link
    except (OSError, WebSocketException) as error:
        raise told(url, error, proxy=_shown(proxy)) from error


def check_address(url: str) -> str | None:
    """The proxy that leads to a hub's address, None without one; raises `BadAddress`, `HubUnsafe`, and `HubAway`.

    A hub on this machine is never looked for behind a proxy, whatever the machine's settings say.
    """
    try:
        uri = parse_uri(url)
    except (InvalidURI, ValueError) as error:
        raise BadAddress(url) from error
    if uri.host in LOOPBACK:
        return None
    if not uri.secure:
        raise HubUnsafe(url)
    proxy = get_proxy(uri)
    if proxy is not None and proxy.startswith("socks") and importlib.util.find_spec("python_socks") is None:
        raise HubAway(url, "socks", proxy=_shown(proxy))
    return proxy


def _shown(proxy: str | None) -> str:
    """Host and port: a proxy's address may hold a password."""
    return urlsplit(proxy).netloc.rpartition("@")[2] if proxy else ""


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
    if not any(hmac.compare_digest(found, one) for one in pin.lower().split(",")):
        raise HubImpostor(url, found)
