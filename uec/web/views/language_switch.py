"""The switch between Russian and English."""

from flask import Blueprint, abort, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response as WsgiResponse

from uec.web.access import public
from uec.web.context import office
from uec.web.language import COOKIE, LANGUAGES, YEAR_S, local_path

blueprint = Blueprint("language", __name__)


@blueprint.get("/language/<code>")
@public
def choose(code: str) -> ResponseReturnValue:
    """Keep the language with the visitor and go back to the page."""
    if code not in LANGUAGES:
        abort(404)
    response: WsgiResponse = redirect(local_path(request.args.get("next")))
    secure = office().settings.base_url.startswith("https://")
    response.set_cookie(COOKIE, code, max_age=YEAR_S, httponly=True, samesite="Lax", secure=secure)
    return response
