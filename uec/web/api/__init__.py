"""The JSON API under /api, described by OpenAPI 3.1 at /api/openapi.json.

Input and output schemas are separate; every rule is the services'. Who calls proves it by a bearer token from
`POST /api/session`; reading is also open to whoever is signed in on the pages. A cookie alone never changes anything
here, so the API needs no CSRF token.
"""

from flask import Flask
from flask_smorest import Api
from flask_wtf.csrf import CSRFProtect

from uec.web.api import resources as _resources  # noqa: F401 - its routes are registered by their import
from uec.web.api import routes, schemas

VERSION = "1.0"


class _Api(Api):  # type: ignore[misc]
    """The description names our own shape of a refusal."""

    ERROR_SCHEMA = schemas.ProblemOutput


def add_api(app: Flask, csrf: CSRFProtect) -> None:
    """Register the API and its description."""
    app.config.update(
        API_TITLE="uec",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/api",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "info": {"description": "Applications, cards, batches and lists of a regional universal electronic card."},
            "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        },
    )
    api = _Api(app)
    api.register_blueprint(routes.blueprint)
    csrf.exempt(routes.blueprint)
