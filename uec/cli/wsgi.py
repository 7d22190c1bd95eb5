"""What the web server's worker loads: the pages over the settings that `uec serve` was started with."""

from uec.processes import die_with_parent
from uec.settings import load_settings
from uec.web.app import create_app

# The worker's parent only watches it: when that is killed, nobody else would end the worker.
die_with_parent()
application = create_app(load_settings())
