"""Every command explains itself, and its help says what it is for."""

import click
import pytest
from click.testing import CliRunner

from uec.cli import COMMANDS, cli


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += every_command(command, (*path, name))
    return found


@pytest.mark.parametrize("path", every_command(cli), ids=" ".join)
def test_each_command_has_help_worth_reading(path: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(cli, [*path, "--help"])
    assert ran.exit_code == 0
    usage, text, *_ = [part for part in ran.output.split("\n\n") if part.strip()]
    assert usage.startswith("Usage: ") and len(text.split()) >= 3


@pytest.mark.parametrize("path", every_command(cli), ids=" ".join)
def test_each_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    command: click.Command | None = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command is not None
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert [one.opts for one in options if not (one.help or "").endswith((".", ":"))] == []


GROUPS = sorted({path[0] for path in every_command(cli) if len(path) > 1})


@pytest.mark.parametrize("group", GROUPS)
def test_no_line_of_a_groups_help_is_cut_off(group: str) -> None:
    shown = CliRunner().invoke(cli, [group, "--help"]).output
    assert "..." not in shown.split("Commands:")[1]


def test_the_table_tells_what_the_commands_themselves_say() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize(
    "wanted",
    (
        "init",
        "serve",
        "scheduler",
        "register import",
        "applications list",
        "batches release",
        "cards suspend",
        "card list",
        "card virtual",
        "card read",
        "ca show",
        "audit verify",
        "audit export",
        "station run",
    ),
)
def test_what_the_issue_asks_for_is_there(wanted: str) -> None:
    assert tuple(wanted.split()) in every_command(cli)
