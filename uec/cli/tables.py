"""How commands show lists, facts and long work: rich tables and progress bars, plain lines when nobody watches."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table


def show(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Print a table; tab-separated values when the output is no terminal, so that it can be piped."""
    console = Console()
    if not console.is_terminal:
        click.echo("\t".join(columns))
        for row in rows:
            click.echo("\t".join(_text(value) for value in row))
        return
    table = Table(title=title or None, header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(_text(value) for value in row))
    console.print(table)


def show_facts(facts: Mapping[str, object]) -> None:
    """Print facts, one a line."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {_text(value)}")


def show_json(value: Any) -> None:
    """Print one JSON object."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str, sort_keys=True))


@contextmanager
def progress_bar(label: str) -> Iterator["Bar"]:
    """A bar with time left, on standard error, shown only to a terminal."""
    console = Console(stderr=True)
    percent = TextColumn("{task.percentage:>3.0f} %")
    columns = (TextColumn("{task.description}"), BarColumn(), percent, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, label)


class Bar:
    """One line of progress."""

    def __init__(self, progress: Progress, label: str) -> None:
        """Begin at nothing, of an unknown whole."""
        self._progress = progress
        self._task = progress.add_task(label, total=None)

    def update(self, done: int, total: int, note: str = "") -> None:
        """Show how much is done, and a note behind the label."""
        self._progress.update(self._task, completed=done, total=total)
        if note:
            self._progress.update(self._task, description=note)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    return str(value)
