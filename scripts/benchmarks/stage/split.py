"""Tells how long the parts of a work took: functions of a module are timed as long as the context lasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

Part = tuple[str, ModuleType, str]
"""What it is called, and the function by its module and name; parts with one name are added up."""


@contextmanager
def split(parts: Sequence[Part]) -> Iterator[dict[str, float]]:
    """Give the seconds by part, filled as the work goes on; no part may lie within another."""
    took = dict.fromkeys((name for name, _module, _function in parts), 0.0)
    with ExitStack() as stack:
        for name, module, function in parts:
            timed = _timed(getattr(module, function), name, took)
            stack.enter_context(patch.object(module, function, timed))
        yield took


def _timed(work: Callable[..., Any], name: str, took: dict[str, float]) -> Callable[..., Any]:
    def timed(*given: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return work(*given, **named)
        finally:
            took[name] += time.perf_counter() - started

    return timed


def told(took: dict[str, float], whole: float) -> str:
    """The parts and the rest in words, in their order."""
    rest = whole - sum(took.values())
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in [*took.items(), ("the rest", rest)]) + " s"
