"""Hides the headers that keep the pages to themselves: nothing inline, nothing from elsewhere, no frames.

OWASP Secure Headers Project; Content Security Policy Level 3 (W3C).
"""

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

# Published on purpose; everything else may name a person and is not kept by any cache.
CACHEABLE = frozenset({"static", "pki"})


def harden(app: Flask, *, https: bool) -> None:
    """Put the headers on every answer; `https` adds strict transport security."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if https:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
        if request.endpoint != "static" and request.blueprint not in CACHEABLE:
            response.headers["Cache-Control"] = "no-store"
        return response


def trust_proxies(app: Flask, count: int) -> None:
    """Take the visitor's address from `X-Forwarded-For` as our own `count` proxies wrote it; none: from nobody.

    Without it all visitors behind a proxy share its address, and with it the limits of attempts.
    """
    if count > 0:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=0, x_host=0)  # type: ignore[method-assign]
