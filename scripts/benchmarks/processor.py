"""Processor time that processes have had since they began, as Linux tells it (proc(5)).

Beside a rate it says where the time goes; and unlike a rate it hardly changes when the machine has other work too.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT, _USER, _CHILDREN_END = 1, 11, 15  # places in /proc/PID/stat behind the command's name, from 0
_SESSION = "postgres: uec "
"""How PostgreSQL calls a process that serves a connection of ours, in its list of arguments."""


def of_process(pid: int) -> float:
    """Seconds of a process and of the children that it has waited for."""
    return _seconds(_stat(pid))


def of_database(server: int) -> Counter[str]:
    """Seconds of a PostgreSQL server by its first process: `sessions` for its clients, and its own `upkeep`."""
    spent = Counter({"upkeep": of_process(server), "sessions": 0.0})
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            facts = _stat(int(folder.name))
            if int(facts[_PARENT]) == server:
                serves = (folder / "cmdline").read_text(errors="replace").startswith(_SESSION)
                spent["sessions" if serves else "upkeep"] += _seconds(facts)
    return spent


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _seconds(facts: list[str]) -> float:
    return sum(map(int, facts[_USER:_CHILDREN_END])) / _TICKS
