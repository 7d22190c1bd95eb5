"""Runs a program in a process of its own, so that its memory is its own too."""

from __future__ import annotations

import os
import subprocess
import sys

from scripts.benchmarks.figure import seconds


def alone(program: str, *words: str) -> tuple[float, float]:
    """Run a program with its arguments; returns its seconds and the most megabytes it had. Raises when it fails."""
    memory = 0.0

    def run() -> None:
        nonlocal memory
        with subprocess.Popen([sys.executable, "-c", program, *words]) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise LookupError("the process failed: see what it said")
        memory = used.ru_maxrss / 1024

    return seconds(run), memory
