"""A worker node as a process of its own, to be killed: `python -m tests.support.worker_node DATABASE VAULT_SOCKET`.

It looks and sweeps often, and rests a moment inside each part, so that most kills hit a job in its middle.
"""

import logging
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import uec.queue
from tests.support.desk import SETTINGS
from uec.services import preparation
from uec.store import prepared, queue
from uec.worker import run_worker

REST_S = 0.15
STALLED_AFTER = timedelta(seconds=2)


def main() -> None:
    database, socket = sys.argv[1:]
    logging.basicConfig(level=logging.INFO)
    queue.STALLED_AFTER = STALLED_AFTER
    uec.queue.SWEEP_EVERY_S = uec.queue.HEARTBEAT_S = uec.queue.LOOK_EVERY_S = 0.5
    whole = prepared.write_data

    def rest(*given: object) -> None:
        print("in the middle", flush=True)
        time.sleep(REST_S / 2)
        whole(*given)  # type: ignore[arg-type]
        time.sleep(REST_S / 2)

    vars(preparation)["write_data"] = rest
    settings = replace(SETTINGS, database_url=database, vault_socket=Path(socket))
    run_worker(settings, stop=threading.Event())


def start(database: str, socket: Path, log: Path) -> "subprocess.Popen[str]":
    """Start one; each part it begins is a line on its standard output."""
    command = [sys.executable, "-m", "tests.support.worker_node", database, str(socket)]
    with log.open("ab") as errors:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)


def end(node: "subprocess.Popen[str]") -> None:
    """Kill it: SIGKILL, at once."""
    node.kill()
    node.wait(20)
    if node.stdout is not None:
        node.stdout.close()


if __name__ == "__main__":
    main()
