"""`scripts/bench NAME [--quick]`: runs `scripts.benchmarks.NAME.figures(quick=...)` and prints each figure as JSON.

A module may yield text too: it goes to standard error (tables for people); exit code 1 when a goal is missed. Who is
asked to stop (Ctrl-C, SIGTERM) takes along what it started: servers, processes, folders.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from pathlib import Path
from types import FrameType

from scripts.benchmarks.figure import Figure

NAMES = sorted(p.stem for p in Path(__file__).parent.glob("[a-z]*.py") if "\ndef figures(" in p.read_text("utf-8"))
"""The modules that measure; what else lies here serves them."""
END_S = 60
"""How long a stopped measurement has to clear up."""


def main() -> int:
    """Run one benchmark; 0 when every goal is reached, 1 when one is missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--quick", action="store_true", help="a short run: fewer and smaller samples")
    wanted = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    module = importlib.import_module(f"scripts.benchmarks.{wanted.name}")
    missed = 0
    for item in module.figures(quick=wanted.quick):
        if isinstance(item, Figure):
            print(item.line(), flush=True)
            missed += not item.ok
        else:
            print(item, file=sys.stderr, flush=True)
    return 1 if missed else 0


def _end(number: int, _frame: FrameType | None) -> None:
    """End as after an error, so that every block is left in order; a second signal does not disturb that.

    What hangs all the same is ended by the system's own alarm.
    """
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    signal.alarm(END_S)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
