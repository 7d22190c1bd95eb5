"""The blueprint of the back office; its views stand in the modules beside."""

from flask import Blueprint

blueprint = Blueprint("office", __name__, url_prefix="/office")
