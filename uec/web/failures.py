"""Hides how a refusal reaches the person: one page (or JSON object) that says what to do, never a trace."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException

from uec.domain import errors
from uec.domain.bureau import BureauRefused
from uec.domain.stock import StockRefused
from uec.services.authority import NoAuthority
from uec.services.card_looks import NotLookedAt
from uec.services.cohort import CohortChanged, ListInWork
from uec.services.intake import AlreadyServed
from uec.services.operations import CardBusy, CardNotReady
from uec.services.plan_scenarios import ScenarioRefused
from uec.services.quality_refusals import Quarantined
from uec.services.stations import HubAway
from uec.services.unblock_letters import LetterGone, LetterLocked
from uec.web import kept
from uec.web.drafts import DraftChanged
from uec.web.limits import TooManyAttempts
from uec.web.partner_files import too_large
from uec.web.texts import _
from uec.web.wording import heading_of, sentence

log = logging.getLogger(__name__)

STATUSES: tuple[tuple[type[errors.UecError], int], ...] = (
    (TooManyAttempts, 429),
    (errors.NotFound, 404),
    (errors.NotAllowed, 403),
    (errors.SignInRefused, 401),
    (errors.StoreUnavailable, 503),
    (errors.GatewayUnavailable, 503),
    (errors.DiskFull, 503),
    (HubAway, 503),
    (NoAuthority, 503),
    (AlreadyServed, 409),
    (DraftChanged, 409),
    (CardBusy, 409),
    (CardNotReady, 409),
    (LetterGone, 409),
    (LetterLocked, 409),
    (CohortChanged, 409),
    (ListInWork, 409),
    (StockRefused, 409),
    (BureauRefused, 409),
    (Quarantined, 409),
    (ScenarioRefused, 409),
    (NotLookedAt, 409),
    (errors.IllegalMove, 409),
    (errors.Stale, 409),
    (errors.PlanInMaking, 409),
    (errors.InvalidInput, 400),
)


def status_of(error: errors.UecError) -> int:
    """Return the HTTP status of one of our errors."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def page_texts(status: int) -> tuple[str, str]:
    """Return heading and explanation for a status."""
    texts = {
        400: (_("The request cannot be understood"), _("Go back, reload the page and try again.")),
        401: (_("Sign in first"), _("This page is for staff. Sign in and open it again.")),
        403: (
            _("This page is not open to you"),
            _("Your roles do not include it. Ask an administrator if you need it."),
        ),
        404: (_("There is no such page"), _("Check the address, or start from the first page.")),
        405: (_("The page cannot be used this way"), _("Go back and use the buttons of the page.")),
        409: (_("Something has changed meanwhile"), _("Reload the page, look at the present state and decide again.")),
        422: (
            _("Something in the request is missing or wrong"),
            _("Look at the list of errors, correct them and send it again."),
        ),
        413: (_("The file is too large"), too_large()),
        429: (_("Too many attempts"), _("Wait a little and try again.")),
        500: (_("Something went wrong on our side"), _("Nothing was lost. Try again in a few minutes.")),
        503: (_("The service is not available now"), _("Nothing was lost. Try again in a few minutes.")),
    }
    return texts.get(status, texts[500] if status >= 500 else texts[400])


def _answer(
    status: int,
    *,
    code: str,
    explanation: str | None = None,
    fields: Mapping[str, object] | None = None,
    finding: str | None = None,
) -> Response:
    heading, advice = page_texts(status)
    heading = heading_of(code) or heading
    if request.path.startswith("/api/"):
        # RFC 9457; `code` is for programs, `errors` names the fields.
        response = jsonify(
            type="about:blank",
            title=HTTPStatus(status).phrase,
            status=status,
            detail=explanation or advice,
            instance=request.path,
            code=code,
            errors=dict(fields or {}),
            **({"finding": finding} if finding else {}),
        )
        response.content_type = "application/problem+json"
    elif request.headers.get("HX-Request"):
        response = make_response(
            render_template("parts/failure.html", heading=heading, explanation=explanation or advice)
        )
    else:
        response = make_response(
            render_template("failure.html", status=status, heading=heading, explanation=explanation or advice)
        )
    response.status_code = status
    return response


def translate_errors(app: Flask) -> None:
    """Answer every error in the visitor's language."""

    @app.errorhandler(errors.UecError)
    def of_ours(error: errors.UecError) -> ResponseReturnValue:
        status = status_of(error)
        if status >= 500:
            log.error("%s: %s", error.code, error.message)
        fields = error.facts.get("errors") if isinstance(error, errors.InvalidInput) else None
        # A locked account answers like a wrong password, so that nobody learns which logins exist.
        code = errors.SignInRefused.code if isinstance(error, errors.SignInRefused) else error.code
        finding = error.finding if isinstance(error, BureauRefused) else None
        response = _answer(status, code=code, explanation=sentence(error), fields=fields, finding=finding)
        if isinstance(error, TooManyAttempts):
            response.headers["Retry-After"] = str(error.retry_after_s)
        return response

    @app.errorhandler(StaleDataError)
    def of_a_colleague(_error: StaleDataError) -> ResponseReturnValue:
        return _answer(409, code=errors.Stale.code)

    @app.errorhandler(CSRFError)
    def of_an_old_form(_error: CSRFError) -> ResponseReturnValue:
        late = kept.of_request()
        if late is not None:
            return kept.page_of(late, signed_in_again=False), 400
        return _answer(
            400,
            code="web.form_too_old",
            explanation=_("The page was open for too long. Reload it and send the form again."),
        )

    @app.errorhandler(HTTPException)
    def of_http(error: HTTPException) -> ResponseReturnValue:
        status = error.code or 500
        if status < 400:
            return error.get_response()
        fields = getattr(error, "data", {}).get("messages")  # what webargs found wrong in the input of the API
        response = _answer(status, code=f"http.{status}", fields=fields)
        if status == 405 and error.get_response().headers.get("Allow"):
            response.headers["Allow"] = error.get_response().headers["Allow"]
        return response

    @app.errorhandler(Exception)
    def of_a_defect(error: Exception) -> ResponseReturnValue:
        # The edge of the process: the trace goes to the log, the visitor gets a sentence.
        log.exception("a page failed", exc_info=error)
        return _answer(500, code="web.defect")
