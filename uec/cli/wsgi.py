"""What the web server loads: the pages over the settings that `uec serve` was started with."""

from uec.settings import load_settings
from uec.web.app import create_app

application = create_app(load_settings())
