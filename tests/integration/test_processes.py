"""Children are waited for, noticed when they end, and never outlive their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from uec.processes import ProcessFailed, ProcessGroup, free_port, listens

LISTENER = "import socket,time,sys; s=socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while it is read
        return False
    return state.rsplit(")", 1)[1].split()[0] != "Z"


def test_start_returns_when_the_child_answers_and_stop_ends_it(tmp_path: Path) -> None:
    port = free_port()
    with ProcessGroup(tmp_path) as group:
        child = group.start(
            "listener", [sys.executable, "-c", LISTENER, str(port)], ready=lambda: listens("127.0.0.1", port)
        )
        assert listens("127.0.0.1", port)
        group.check()
    assert child.process.poll() is not None
    assert not listens("127.0.0.1", port)


def test_a_child_that_ends_early_is_named_with_its_last_words(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as group, pytest.raises(ProcessFailed, match=r"'broken' ended with code 3.*no reader"):
        group.start("broken", [sys.executable, "-c", "print('no reader'); raise SystemExit(3)"], ready=lambda: False)


def test_a_child_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as group, pytest.raises(ProcessFailed, match="did not answer within"):
        group.start("mute", [sys.executable, "-c", "import time; time.sleep(60)"], ready=lambda: False, timeout_s=0.2)


def test_check_notices_a_child_that_was_killed(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as group:
        child = group.start("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
        child.process.kill()
        child.process.wait()
        with pytest.raises(ProcessFailed, match="'sleeper' ended with code -9"):
            group.check()


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys,time; from pathlib import Path; from uec.processes import ProcessGroup\n"
            "sleep = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
            "child = ProcessGroup(Path(sys.argv[1])).start('c', sleep)\n"
            "print(child.process.pid, flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


SIGNAL_AT_THE_WORST_INSTANT = """
import os, signal, sys, threading, time
from uec.processes import stop_event
stop = stop_event()
with stop._cond:  # what the main thread holds when it begins or ends to wait
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    time.sleep(0.05)  # the handler runs here
sys.exit(0 if stop.wait(60) else 3)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_while_the_events_lock_is_held_ends_the_process_all_the_same(name: str) -> None:
    command = [sys.executable, "-c", SIGNAL_AT_THE_WORST_INSTANT, name]
    assert subprocess.run(command, timeout=100, check=False).returncode == 0


HAMMERED = """
import sys
from uec.processes import stop_event
stop = stop_event()
print("waits", flush=True)
while not stop.wait(0.0001):
    pass
"""


def test_signals_find_a_waiting_process_at_any_instant() -> None:
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", HAMMERED], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(60) == 0
            finally:
                process.kill()
