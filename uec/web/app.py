"""Puts the web process together: settings in, Flask application out. No global state, no card reader, no vault."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flask import Flask
from flask_wtf.csrf import CSRFProtect
from jinja2 import ChoiceLoader, FileSystemLoader, PackageLoader, PrefixLoader

from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.web import access, assets, context, failures, language, partner_files, security, sessions
from uec.web.api import add_api
from uec.web.filters import use_filters
from uec.web.frame import frame
from uec.web.paging import bound_addresses
from uec.web.views import auth, citizen, language_switch, office, pki, window
from uec.web.views import residents as _residents  # noqa: F401 - its routes belong to citizens and windows
from uec.web.views import unblocking as _unblocking  # noqa: F401 - its routes belong to windows

PAGES = Path(__file__).parent / "templates"


def system_clock() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = system_clock,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Flask:
    """Build the WSGI application; raise `AssetsMissing` when scripts/build_assets was never run."""
    app = Flask(__name__)
    https = settings.base_url.startswith("https://")
    key = context.load_key(settings.secret_key_file)
    app.config.update(
        SECRET_KEY=key,
        SESSION_COOKIE_NAME="__Host-uec" if https else "uec",
        SESSION_COOKIE_SECURE=https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=12),
        MAX_CONTENT_LENGTH=partner_files.FORM_MB * partner_files.MEGABYTE,
        MAX_FORM_MEMORY_SIZE=partner_files.MEGABYTE // 2,
        WTF_CSRF_TIME_LIMIT=4 * 3600,
        WTF_CSRF_SSL_STRICT=https,
    )
    app.extensions[context.EXTENSION] = context.Office(
        settings, session_factory(make_engine(settings.database_url)), clock, random, key
    )
    components = PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")})
    app.jinja_loader = ChoiceLoader([FileSystemLoader(PAGES), components])
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    bound_addresses(app)
    assets.use_assets(app)
    language.speak(app, default=settings.locale, timezone=settings.timezone)
    context.close_sessions(app)
    sessions.recognise(app)
    access.guard(app)
    partner_files.lift_limits(app, settings)
    csrf = CSRFProtect(app)
    for module in (citizen, auth, language_switch, window, office, pki):
        app.register_blueprint(module.blueprint)
    add_api(app, csrf)
    frame(app)
    use_filters(app)
    failures.translate_errors(app)
    security.harden(app, https=https)
    security.trust_proxies(app, settings.trusted_proxies)
    return app
