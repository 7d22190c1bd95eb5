"""Hides where the built styles and scripts stand: each address carries a digest of its content, so browsers keep it."""

import json
from pathlib import Path

from flask import Flask, Response, request, url_for

from uec.domain.errors import UecError

DIST = Path(__file__).parent / "static" / "dist"
YEAR_S = 365 * 24 * 3600
MONTH_S = 30 * 24 * 3600
FONTS = "/static/dist/fonts/"


class AssetsMissing(UecError):
    """The styles and scripts were never built."""

    code = "uec.assets_missing"


def load_manifest(dist: Path = DIST) -> dict[str, str]:
    """Return built file name -> digest; raise `AssetsMissing` when there is no build."""
    try:
        manifest: dict[str, str] = json.loads((dist / "manifest.json").read_text())
    except FileNotFoundError:
        raise AssetsMissing(
            "The styles and scripts of the pages are not built yet; run scripts/build_assets."
        ) from None
    return manifest


def use_assets(app: Flask) -> None:
    """Give templates `asset(name)`, and let browsers keep what was asked for by its digest."""
    manifest = load_manifest()

    def asset(name: str) -> str:
        return url_for("static", filename=f"dist/{name}", v=manifest[name])

    app.jinja_env.globals["asset"] = asset

    @app.after_request
    def cache(response: Response) -> Response:
        if request.endpoint == "static" and request.args.get("v") and response.status_code == 200:
            response.cache_control.public = True
            response.cache_control.no_cache = None
            response.cache_control.max_age = YEAR_S
            response.cache_control.immutable = True
        elif request.path.startswith(FONTS) and response.status_code == 200:
            # Named by the style sheet without a digest; a typeface changes once in years.
            response.cache_control.no_cache = None
            response.cache_control.max_age = MONTH_S
        return response
