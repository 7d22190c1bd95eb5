"""Hides who may open which route. Every view says so itself; a route that says nothing is closed to everyone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask, abort, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from uec.domain.actors import Actor
from uec.domain.permissions import Permission
from uec.web import kept, polling
from uec.web.forms.sign_in import SignInForm

View = TypeVar("View", bound=Callable[..., Any])

# Routes of libraries, which cannot carry a mark of ours.
OPEN_ENDPOINTS = frozenset({"static", "api-docs.openapi_json"})


@dataclass(frozen=True)
class Access:
    """What a route asks for: nothing (`public`), any sign-in (no permissions named), or any one of the permissions."""

    public: bool = False
    permissions: tuple[Permission, ...] = ()

    def admits(self, actor: Actor | None) -> bool:
        """Tell whether the actor (None: nobody signed in) may pass."""
        if self.public:
            return True
        if actor is None:
            return False
        return not self.permissions or any(actor.may(permission) for permission in self.permissions)


def public(view: View) -> View:
    """Mark a view as open to everyone."""
    view.access = Access(public=True)  # type: ignore[attr-defined]
    return view


def signed_in(view: View) -> View:
    """Mark a view as open to any member of staff."""
    view.access = Access()  # type: ignore[attr-defined]
    return view


def needs(*permissions: Permission) -> Callable[[View], View]:
    """Mark a view as open to staff who hold at least one of the permissions."""

    def mark(view: View) -> View:
        view.access = Access(permissions=permissions)  # type: ignore[attr-defined]
        return view

    return mark


def access_of(app: Flask, endpoint: str) -> Access | None:
    """Return what a route asks for, or None when it does not say (and is therefore closed)."""
    if endpoint in OPEN_ENDPOINTS or endpoint.endswith(".static"):
        return Access(public=True)
    found = getattr(app.view_functions[endpoint], "access", None)
    return found if isinstance(found, Access) else None


def guard(app: Flask) -> None:
    """Make every request pass the mark of its route before the view runs."""

    @app.before_request
    def check_access() -> ResponseReturnValue | None:
        if request.endpoint is None:
            return None  # no such page: the 404 answers
        access = access_of(app, request.endpoint)
        if access is None:
            abort(403)
        actor: Actor | None = g.actor
        if access.admits(actor):
            return None
        if actor is None and polling.asks():
            return polling.signed_out()
        if actor is None and request.blueprint != "api":
            if late := kept.for_sign_in():
                form = SignInForm(formdata=None)
                return render_template("auth/sign_in.html", form=form, target=url_for("office.home"), kept=late), 401
            here = request.full_path.rstrip("?") if request.method == "GET" else None
            return redirect(url_for("auth.sign_in", next=here))
        return abort(403 if actor else 401)


def current_actor() -> Actor:
    """Return who is signed in; a route that asks for a sign-in always has one."""
    actor: Actor | None = g.actor
    if actor is None:
        abort(401)
    return actor
