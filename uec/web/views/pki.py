"""What anyone may fetch to check a card: the authority's certificates, its revocation list, the stop-list.

RFC 5280; media types of RFC 2585 (`application/pkix-cert`, `application/pkix-crl`).
"""

import re

from flask import Blueprint, Response, abort, render_template
from flask.typing import ResponseReturnValue

from uec.web import published
from uec.web.access import public
from uec.web.context import now, reader

blueprint = Blueprint("pki", __name__, url_prefix="/pki")
HOUR_S = 3600
LISTS = re.compile(r"root|issuing(-\d{1,3})?(-delta)?")


def _file(content: bytes, kind: str, name: str, *, keep_s: int) -> Response:
    response = Response(content, mimetype=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.cache_control.public = True
    response.cache_control.max_age = keep_s
    return response


@blueprint.get("/")
@public
def index() -> ResponseReturnValue:
    """List what is published."""
    return render_template(
        "pki/index.html",
        certificates=published.certificates(reader()),
        crl=published.crl(reader()),
        stop_list=published.stop_list(reader()),
    )


@blueprint.get("/ca/<name>.cer")
@public
def certificate(name: str) -> ResponseReturnValue:
    """Send a certificate of the authority (DER)."""
    content = published.certificates(reader()).get(name)
    if content is None:
        abort(404)
    return _file(content, "application/pkix-cert", f"uec-{name}.cer", keep_s=24 * HOUR_S)


@blueprint.get("/crl/<issuer>.crl")
@public
def crl(issuer: str) -> ResponseReturnValue:
    """Send the newest list (DER), whole, of a part, or a delta; caches keep it an hour, and never past its end."""
    newest = published.crl(reader(), issuer) if LISTS.fullmatch(issuer) else None
    if newest is None:
        abort(404)
    left_s = max(0, int((newest.next_update - now()).total_seconds()))
    return _file(newest.der, "application/pkix-crl", f"uec-{issuer}.crl", keep_s=min(HOUR_S, left_s))


@blueprint.get("/stop-list")
@public
def stop_list() -> ResponseReturnValue:
    """Send the newest signed stop-list."""
    newest = published.stop_list(reader())
    if newest is None:
        abort(404)
    return _file(newest, "application/json", "uec-stop-list.json", keep_s=300)
