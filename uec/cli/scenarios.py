"""The commands of `uec plan` about what-if years: live through them, compare them, make one the plan."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uec.cli.options import login_options, now, settings, signed_in, store
from uec.cli.tables import progress_bar, show, show_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from uec.services.scenario_facts import Ground
    from uec.settings import Settings
    from uec.store.tables import PlanScenario

FIGURES = ("kept", "late_clocks", "late_days", "queue", "stock_outs", "handed", "unclaimed")


def _table(_context: click.Context, option: click.Parameter, text: str) -> dict[str, Any]:
    """A JSON object typed at an option."""
    try:
        read = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as problem:
        raise click.BadParameter(f"is no JSON ({problem})", param_hint=option.opts[0]) from problem
    if not isinstance(read, dict):
        raise click.BadParameter("is no JSON object", param_hint=option.opts[0])
    return read


@click.command()
@click.argument("name")
@click.option(
    "--changes", default="{}", callback=_table, help="What differs, as JSON: intake, windows, shifts, stopped, chips."
)
@click.option(
    "--chances",
    default="{}",
    callback=_table,
    help="What is more or less likely than usual, as JSON: intake_spread, spoiled, line_failure, failure_days, strike, "
    "strike_days, no_show, comes_again, unclaimed, delivery_late, delivery_days, chip_timing.",
)
@click.option("--runs", default=20, show_default=True, type=click.IntRange(1, 1000), help="Simulated years.")
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, 2**31 - 1),
    help="The first run's seed; the same seed is the same year.",
)
@click.option("--processes", type=click.IntRange(1, 512), help="Years side by side; as many as cores without it.")
@click.option(
    "--days", type=click.IntRange(1, 800), help="Calendar days to live through; without it, those of the office's plan."
)
@login_options
def simulate(
    name: str,
    changes: dict[str, Any],
    chances: dict[str, Any],
    runs: int,
    seed: int,
    processes: int | None,
    days: int | None,
    login: str,
    password_file: Path | None,
) -> None:
    """Live through the plan RUNS times in the digital twin and save how it went as the scenario NAME.

    Intake, failures, no-shows, strikes and late chips come by chance; the planner plans anew every month and when
    something happens. Shown are P50 and P90, to which at least half and nine of ten of the years keep: of promises
    kept, queues at points, days without chips, late clocks. The same seed gives the same years, with any number of
    processes. Stopped by Ctrl-C, the years that are done are summed up and saved.
    """
    from uec.services import scenario_years  # noqa: PLC0415
    from uec.services.plan_scenarios import Trial  # noqa: PLC0415

    chosen = settings()
    trial = Trial(changes, runs, seed, chances, days)
    with store(chosen) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        try:
            with progress_bar(name) as bar:
                watch = scenario_years.Watch(now, lambda done: bar.update(done, runs), processes)
                scenario_years.run(session, name, trial, ground=_ground(session, chosen), actor=actor, watch=watch)
        except KeyboardInterrupt:
            _tell(session, name)
            raise
        _tell(session, name)


def _tell(session: "Session", name: str) -> None:
    """The figures of the scenario, and how many of its years they are of; nothing before it was saved."""
    from uec.services.plan_scenarios import find  # noqa: PLC0415

    row = find(session, name)
    if row is None or "kept" not in row.outcome:
        return
    _figures([row])
    if asked := row.outcome.get("asked"):
        click.echo(f"{row.outcome['runs']} of {asked} years were lived through; their figures are saved.", err=True)


@click.command()
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Everything that is kept, also by week and by point.")
@login_options
def compare(names: tuple[str, ...], as_json: bool, login: str, password_file: Path | None) -> None:  # noqa: FBT001
    """Compare saved scenarios side by side: those NAMED, or all."""
    from uec.services import plan_scenarios  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        rows = plan_scenarios.compare(session, names, actor=signed_in(session, login, password_file))
        if as_json:
            show_json({row.name: {"changes": row.changes} | row.outcome for row in rows})
            return
        _figures(rows)


@click.command()
@click.argument("name")
@login_options
def propose(name: str, login: str, password_file: Path | None) -> None:
    """Put the scenario NAME forward to become the plan; another person approves it."""
    from uec.services import scenario_approval  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        scenario_approval.propose(session, _id(session, name, actor), actor=actor, now=now())
    click.echo(f"{name} is put forward: `uec plan approve` makes it the plan, by another person.")


@click.command()
@click.argument("name")
@login_options
def approve(name: str, login: str, password_file: Path | None) -> None:
    """Make the scenario NAME the plan: its changes are facts from now on, and the plan is made again."""
    from uec.services import scenario_approval  # noqa: PLC0415

    chosen = settings()
    with store(chosen) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        version = scenario_approval.approve(
            session, _id(session, name, actor), ground=_ground(session, chosen), actor=actor, now=now()
        )
    click.echo(f"{name} is in force as facts {version}; the workers make the plan again.")


def _id(session: "Session", name: str, actor: Any) -> int:
    from uec.services import plan_scenarios  # noqa: PLC0415

    return plan_scenarios.compare(session, [name], actor=actor)[0].id


def _ground(session: "Session", chosen: "Settings") -> "Ground":
    from uec.services import phases  # noqa: PLC0415
    from uec.services.rules import working_calendar  # noqa: PLC0415
    from uec.services.scenario_facts import Ground  # noqa: PLC0415

    policy = phases.book(session, chosen.policy).at(now())
    return Ground(working_calendar(chosen), chosen.default_profile, policy.day(now()), policy.mass_emission_from)


def _figures(rows: "list[PlanScenario]") -> None:
    columns = ("scenario", "runs", *(f"{name} P50/P90" for name in FIGURES))
    show(columns, [(row.name, *_said(row.outcome)) for row in rows])


def _said(outcome: dict[str, Any]) -> list[object]:
    """The figures of a scenario, or why there are none."""
    if "kept" in outcome:
        return [outcome["runs"], *(" / ".join(map(_number, outcome[name])) for name in FIGURES)]
    why = outcome.get("failed") or f"under way: {outcome.get('done', 0)} done"
    return [outcome["runs"], why, *("-" for _ in FIGURES[1:])]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.4g}"
