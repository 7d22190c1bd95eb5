"""What it means when no link to the hub comes about: one cause out of a short list, and what to do about it.

A newcomer sees TLS, name service and proxies through errors of three libraries; here each becomes one sentence for the
one who sits at the machine. Certificate errors by the verify codes of OpenSSL (x509_vfy.h).
"""

import socket
import ssl

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidProxy,
    InvalidStatus,
    ProxyError,
)

from issuance.station.errors import HubAway

TRY_AGAIN_LATER = 1013
NOT_YET_VALID, EXPIRED, HOSTNAME, ADDRESS = 9, 10, 62, 64
NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}


def told(url: str, error: Exception, *, proxy: str = "") -> HubAway:
    """The error that says why `url` gave no link; `proxy` is the address of the one it was tried through."""
    cause = _cause(url, error)
    if proxy and cause in {"refused", "name", "silent", "network", "closed"}:
        cause = "proxy"
    return HubAway(url, cause, _detail(error, cause), proxy=proxy)


def _cause(url: str, error: Exception) -> str:  # noqa: PLR0911 - a table of kinds, first match
    secure = url.startswith("wss:")
    match error:
        case ssl.SSLCertVerificationError():
            by_code = {EXPIRED: "expired", NOT_YET_VALID: "early", HOSTNAME: "other-name", ADDRESS: "other-name"}
            return by_code.get(error.verify_code, "unknown-authority")
        case ssl.SSLError():
            return "plain" if error.reason in NOT_TLS else "handshake"
        case ProxyError() | InvalidProxy():
            return "proxy"
        case InvalidStatus():
            return "no-hub"
        case InvalidMessage():
            return "plain" if secure else "wants-tls"
        case InvalidHandshake():
            return "no-hub"
        case ConnectionClosed():
            received = error.rcvd
            return "busy" if received is not None and received.code == TRY_AGAIN_LATER else "closed"
        case TimeoutError():
            return "silent"
        case socket.gaierror():
            return "name"
        case ConnectionRefusedError():
            return "refused"
        case ConnectionError():
            return "plain" if secure else "closed"
    return "network"


def _detail(error: Exception, cause: str) -> str:
    if isinstance(error, InvalidStatus):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, OSError) and error.strerror and cause in {"network", "name"}:
        return error.strerror
    return str(error) or type(error).__name__
