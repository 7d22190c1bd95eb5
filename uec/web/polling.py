"""Hides how a part of a page that asks for itself again learns that nobody is signed in any more.

Sent to the sign-in, htmx would follow and find nothing of its part there: the page would stand still and say nothing.
It is told so above the part instead, with a way to sign in and come back, and asks no more.
"""

from urllib.parse import urlsplit

from flask import Response, make_response, render_template, request, url_for

from uec.web.language import local_path

# htmx: swap what comes, and stop polling.
LAST_ANSWER = 286


def asks() -> bool:
    """Tell whether this request comes from a part of a page, not from a person."""
    return request.headers.get("HX-Request") == "true"


def signed_out() -> Response:
    """Return what stands above the part from now on; what it showed stays."""
    page = urlsplit(request.headers.get("HX-Current-URL", ""))
    here = local_path(f"{page.path}?{page.query}".rstrip("?"), url_for("office.home"))
    response = make_response(render_template("parts/signed_out.html", here=here), LAST_ANSWER)
    response.headers["HX-Reswap"] = "beforebegin"
    response.headers["HX-Reselect"] = "#signed-out"
    return response
