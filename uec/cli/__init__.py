"""The command line `uec`: one module a group, each imported only when it is used, errors as one line.

Exit codes: 0 done, 1 it could not be done, 2 the input or the settings are wrong, 130 interrupted.
Nobody is shown a traceback, unless UEC_TRACEBACK is set.
"""

import contextlib
import errno
import os
import sys
from difflib import get_close_matches
from importlib import import_module

import click

from card_io.errors import CardError
from issuance.errors import IssuanceError
from uec.cli.options import settings_option
from uec.domain.errors import InvalidInput, UecError

# Section of `uec --help` -> command -> module with an attribute of the same name, and the line the help shows for it.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Set up and run": {
        "init": ("setup", "Make settings, database, vault, authority and the first administrator."),
        "serve": ("processes", "Run the web pages and the API."),
        "hub": ("processes", "Run the card sessions of the stations."),
        "vault": ("processes", "Unlock the keys and serve them to the other processes."),
        "scheduler": ("processes", "Trigger what is due; exactly one does, others stand by."),
        "worker": ("processes", "Do what is due; run as many as you like."),
        "station": ("station", "Run a window's readers and link (needs no database)."),
        "jobs": ("jobs", "What the office does by itself: list, runs, pause, resume, run now."),
    },
    "People and applications": {
        "register": ("register", "Import the register of residents; run the stand-in gateway."),
        "applications": ("applications", "List, show, approve, reject and take back applications."),
        "refusals": ("refusals", "File refusals to receive a card, and list them."),
        "phases": ("phases", "Dated policy and public notices: propose, confirm, history."),
        "cohorts": ("cohorts", "Compute, propose and approve lists for mass emission; why somebody is in or out."),
    },
    "Cards": {
        "plan": ("plan", "Plan mass emission, explain a place, simulate and compare what-if years."),
        "batches": ("batches", "Plan, list, release and produce batches."),
        "bureau": ("bureau", "Outside bureaux: partners, orders, files, results; a stand-in for rehearsals."),
        "stock": ("stock", "Blank cards: deliveries, transfers, shifts, balances, acts, quarantine."),
        "cards": ("cards", "List and show cards; suspend, resume, report lost, replace, annul, destroy."),
        "card": ("card", "Readers and cards on this machine: list, virtual, read, check."),
    },
    "Keys and certificates": {
        "ca": ("ca", "The certification authority: make it, show it, publish its lists."),
        "crl": ("crl", "Revocation lists: list, publish, show, verify, and what comes next."),
        "ocsp": ("ocsp", "Answers about certificates: run the responder, ask it, sign answers now."),
        "keys": ("keys", "Keys of the vault: list, make a new version, enter a maker's key."),
    },
    "Office": {
        "staff": ("staff", "Add staff and list them."),
        "points": ("points", "Add issuance points and stations."),
        "audit": ("audit", "Export the audit and verify an export offline."),
    },
}
COMMANDS = {name: line for section in SECTIONS.values() for name, line in section.items()}

OURS = {"uec", "issuance", "card_io"}


class Commands(click.Group):
    """Knows its commands by the table alone, so that `--help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return it."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"uec.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        for part in getattr(command, "commands", {}).values():
            # Left to itself the list of a group cuts each line off in its middle.
            part.short_help = part.short_help or _first_sentence(part.help or "")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, section by section, in one width."""
        widest = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), line) for name, (_, line) in commands.items()])


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n", maxsplit=1)[0].split()).partition(". ")[0].rstrip(".") + "."


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@settings_option
@click.version_option(package_name="uec", prog_name="uec")
def cli() -> None:
    """Issue universal electronic cards and look after each for its whole life.

    \b
    A new installation:      uec init
    The office's processes:  uec vault, uec hub, uec worker, uec scheduler, uec ocsp run, uec serve
    A window's machine:      uec station enrol --hub URL --code CODE, then uec station run

    Every command has its own --help.
    """


def main() -> None:
    """Run the command line; errors of the three rooms become one sentence on standard error."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no Cyrillic shows escapes, not an error in the middle of a list.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run with these arguments; the exit code."""
    try:
        _require_text(arguments)
        result = cli.main(arguments, prog_name="uec", standalone_mode=False)
        sys.stdout.flush()  # a full disk behind the output is an error, not an exit code of 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.exceptions.Abort as stopped:
        return _stopped(stopped)
    except click.ClickException as error:
        return _said(_usage(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last line before the user; the cause is one setting away
        return _explained(error)
    return result if isinstance(result, int) else 0


def _explained(error: Exception) -> int:
    match error:
        case InvalidInput():
            return _said(str(error), 2)
        case UecError() | IssuanceError() | CardError():
            return _said(str(error), 1)
        case ModuleNotFoundError() if (error.name or "").partition(".")[0] not in OURS:
            return _said(f"This command is the office's: install `uec[office]` ({error.name} is not here).", 1)
        case OSError():
            return _system_refused(error)
        case _:
            return _unexpected(error)


def _stopped(stopped: click.exceptions.Abort) -> int:
    if isinstance(stopped.__cause__ or stopped.__context__, EOFError):
        return _said("An answer is needed and nobody is there to type it; name a file for it (see --help).", 2)
    return _said("Stopped; what was finished before stays.", 130)


def _require_text(arguments: list[str]) -> None:
    for number, argument in enumerate(arguments, 1):
        if not argument.isascii() and any("\ud800" <= sign <= "\udfff" for sign in argument):
            raise InvalidInput(f"Argument {number} is not UTF-8: set the terminal to UTF-8 and type it again.")


def _usage(error: click.ClickException) -> str:
    """What is wrong with the command, in one line, with the nearest command that there is."""
    message = " ".join(error.format_message().split()).rstrip(".")
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return f"{message}."
    path = error.ctx.command_path
    near: list[str] = []
    if isinstance(error.ctx.command, click.Group) and "No such command" in message and "Did you mean" not in message:
        wanted = message.split("'")[1]
        near = get_close_matches(wanted, error.ctx.command.list_commands(error.ctx), n=1)
    hint = f" Did you mean `{path} {near[0]}`?" if near else ""
    return f"{message}.{hint} See `{path} --help`."


def _system_refused(error: OSError) -> int:
    if error.errno in {errno.ENOSPC, errno.EPIPE} and error.filename is None:
        # What is left in the buffer cannot be written either: let nothing try again at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _said(f"{error.strerror or error}: {error.filename or 'check disk, rights and network'}.", 1)


def _unexpected(error: Exception) -> int:
    if os.environ.get("UEC_TRACEBACK"):
        raise error
    # Not its text: an error of the database may carry a person's data.
    return _said(
        f"A fault of the program ({type(error).__name__}); nothing unfinished was kept. Run it again with "
        "UEC_TRACEBACK=1 and report what it shows.",
        1,
    )


def _said(sentence: str, code: int) -> int:
    click.echo(f"uec: {sentence}", err=True)
    return code
