"""A worker node as a process of its own, to be killed: `python -m tests.support.worker_node DATABASE VAULT_SOCKET`.

It looks and sweeps often, and rests a moment inside each part, so that an outage hits a job in its middle. With one
more word, `before` or `after`, it says so and stands still there in its first part: before its rows are written, or
after, when they wait for their commit.
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
    database, socket, *stands = sys.argv[1:]
    logging.basicConfig(level=logging.INFO)
    queue.STALLED_AFTER = STALLED_AFTER
    uec.queue.SWEEP_EVERY_S = uec.queue.HEARTBEAT_S = uec.queue.LOOK_EVERY_S = 0.5
    whole = prepared.write_data

    def rest(place: str) -> None:
        if place in stands:
            print("in the middle", flush=True)
            threading.Event().wait()
        time.sleep(REST_S / 2)

    def write(*given: object) -> None:
        rest("before")
        whole(*given)  # type: ignore[arg-type]
        rest("after")

    vars(preparation)["write_data"] = write
    settings = replace(SETTINGS, database_url=database, vault_socket=Path(socket))
    run_worker(settings, stop=threading.Event())


def start(database: str, socket: Path, log: Path, *stands: str) -> "subprocess.Popen[str]":
    """Start one; where it is to stand still, it tells on its standard output that it does."""
    command = [sys.executable, "-m", "tests.support.worker_node", database, str(socket), *stands]
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
