"""What processes have cost is told by whose work it was, also of those that have ended."""

import os
import subprocess
import sys
import time

import pytest

from scripts.benchmarks import processor

BURNT_S = 0.1
ROUNDING_S = 0.05
BURN = f"import time\nwhile time.process_time() < {BURNT_S}: pass"
LIMIT_S = 120.0


def test_a_process_is_told_with_what_it_burns() -> None:
    before, ends = processor.of_process(os.getpid()), time.monotonic() + LIMIT_S
    while processor.of_process(os.getpid()) < before + BURNT_S:
        assert time.monotonic() < ends, "it burns and burns, and nothing is counted"


def test_children_that_were_waited_for_count_with_their_parent() -> None:
    before = processor.of_process(os.getpid())
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert processor.of_process(os.getpid()) - before >= BURNT_S - ROUNDING_S


def test_a_child_that_runs_is_not_yet_its_parents() -> None:
    with subprocess.Popen([sys.executable, "-c", f"{BURN}\nprint()\ninput()"], stdin=-1, stdout=-1) as child:
        assert child.stdin
        assert child.stdout
        before = processor.of_process(os.getpid())
        child.stdout.readline()
        assert processor.of_process(child.pid) >= BURNT_S - ROUNDING_S
        assert processor.of_process(os.getpid()) - before < BURNT_S - ROUNDING_S
        child.stdin.close()


def test_a_process_that_is_not_there_is_no_zero() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with pytest.raises(FileNotFoundError):
        processor.of_process(child.pid)
