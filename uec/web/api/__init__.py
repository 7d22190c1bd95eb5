"""The JSON API under /api, described by OpenAPI 3.1 at /api/openapi.json.

Input and output schemas are separate; every rule is the services'. Who calls proves it by a bearer token from
`POST /api/session`; reading is also open to whoever is signed in on the pages. A cookie alone never changes anything
here, so the API needs no CSRF token.
"""

from flask import Flask
from flask_smorest import Api
from flask_wtf.csrf import CSRFProtect

from uec.web.api import bureaux as _bureaux  # noqa: F401 - their routes are registered by their import
from uec.web.api import consignments as _consignments  # noqa: F401
from uec.web.api import details as _details  # noqa: F401
from uec.web.api import exports as _exports  # noqa: F401
from uec.web.api import resources as _resources  # noqa: F401
from uec.web.api import routes, schemas

VERSION = "1.0"
PROBLEM = "application/problem+json"
ABOUT = """\
Applications, cards, batches, places in the plan, stock, orders to outside bureaux, files and lists of a regional
universal electronic card.

**Who calls.** `POST /api/session` gives a token for login and password, good for half an hour and narrowed by
`scopes`; send it as `Authorization: Bearer TOKEN`. Operations without a lock need none. Attempts are limited for each
sender: 429 says so.

**Refusals** are problems after RFC 9457 (`application/problem+json`): `code` is stable and for programs, `detail` is
a sentence for people, `errors` names wrong fields, `finding` says in one word what stands against a bureau's order
or file. 401: no token, or it has ended; 403: it may not do this; 404: there is no such thing; 409: the state does not
allow it; 413: too much at once; 422: fields are missing, unknown or of the wrong kind.

**Lists** come in pages: `offset` and `limit` (at most 200) in, `rows` and `total` out.

**Times** are ISO 8601 with their offset, dates are days of the office's calendar.
"""


class _Api(Api):  # type: ignore[misc]
    """The description names our own shape of a refusal, and the content type it has."""

    ERROR_SCHEMA = schemas.ProblemOutput

    def _register_responses(self) -> None:
        usual: str = Api.DEFAULT_RESPONSE_CONTENT_TYPE
        self.DEFAULT_RESPONSE_CONTENT_TYPE = PROBLEM
        super()._register_responses()
        self.DEFAULT_RESPONSE_CONTENT_TYPE = usual


def add_api(app: Flask, csrf: CSRFProtect) -> None:
    """Register the API and its description."""
    app.config.update(
        API_TITLE="uec",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/api",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "info": {"description": ABOUT},
            "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        },
    )
    api = _Api(app)
    api.register_blueprint(routes.blueprint)
    csrf.exempt(routes.blueprint)
