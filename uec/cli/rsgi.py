"""What the server's worker loads: the responder over the settings that `uec ocsp run` was started with."""

from urllib.parse import urlsplit

from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from uec.cli.options import now
from uec.ocsp.app import Responder
from uec.ocsp.desk import Desk
from uec.processes import die_with_parent, log_to_stderr
from uec.settings import load_settings
from uec.store.engine import make_engine, session_factory

VAULT_TIMEOUT_S = 5.0

# The worker's parent only watches it: when that is killed, nobody else would end the worker.
die_with_parent()
log_to_stderr()
_settings = load_settings()
application = Responder(
    Desk(
        session_factory(make_engine(_settings.database_url)),
        VaultClient(_settings.vault_socket, ClientKind.OCSP, timeout_s=VAULT_TIMEOUT_S),
        clock=now,
    ),
    urlsplit(_settings.ocsp_url).path.rstrip("/"),
)
