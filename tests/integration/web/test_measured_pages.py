"""Every page is one that the benchmark of pages can ask for: a new page needs no word there, or says so here."""

import pytest
from flask import Flask

from scripts.benchmarks.stage.addresses import ARGUMENTS, ASKED, LEFT_OUT, WAYS, measured
from uec.settings import Settings
from uec.web.app import create_app


@pytest.fixture(scope="module")
def app(settings: Settings) -> Flask:
    return create_app(settings)


def test_every_argument_of_a_page_is_known(app: Flask) -> None:
    pages = measured(app.url_map)
    assert len(pages) > 60
    assert {rule.endpoint: rule.arguments - ARGUMENTS for rule in pages if not rule.arguments <= ARGUMENTS} == {}


def test_no_page_is_named_that_is_not_there(app: Flask) -> None:
    assert set(LEFT_OUT) | set(WAYS) <= set(app.view_functions)
    assert not LEFT_OUT & set(WAYS)
    assert set(WAYS) >= ASKED
