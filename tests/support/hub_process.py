"""A hub as a process of its own, to be killed: `python -m tests.support.hub_process DATABASE STATE SOCKET LISTEN`."""

import sys
import threading
from dataclasses import replace
from pathlib import Path

from tests.support.desk import SETTINGS
from uec.hub.server import run_hub


def main() -> None:
    database, state, socket, listen = sys.argv[1:]
    settings = replace(
        SETTINGS, database_url=database, state_dir=Path(state), vault_socket=Path(socket), hub_listen=listen
    )
    run_hub(settings, threading.Event(), on_listening=lambda port: print(port, flush=True))


if __name__ == "__main__":
    main()
