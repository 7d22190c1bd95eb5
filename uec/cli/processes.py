"""`uec serve`, `hub`, `vault`, `scheduler`, `worker`: the office's processes, in the foreground until stopped."""

import os
from collections.abc import Callable
from pathlib import Path
from threading import Event

import click

from uec.cli.options import now, passphrase_files_option, read_passphrases, settings
from uec.domain.settings_rules import split_address
from uec.processes import log_to_stderr, seldom_collected, stop_event
from uec.settings import ENVIRONMENT, Settings

WORKER_STOP_TIMEOUT_S = 4  # less than whoever started `uec serve` allows it


def _run(process: Callable[[Settings, Event], None], name: str) -> None:
    from uec.store.outage import spare_the_log  # noqa: PLC0415

    chosen = _ready(settings())
    log_to_stderr()
    spare_the_log()
    stop = stop_event()
    click.echo(f"{name} runs; stop it with Ctrl-C", err=True)
    with seldom_collected():
        process(chosen, stop)


def _ready(chosen: Settings) -> Settings:
    """The settings, once their database has been seen to be of this version: at the start, not at the first use."""
    from uec.store.migrate import require_current  # noqa: PLC0415

    require_current(chosen.database_url)
    return chosen


@click.command()
def scheduler() -> None:
    """Trigger what is due; exactly one does, a second one stands by and takes over."""
    from uec.scheduler import run_scheduler  # noqa: PLC0415

    _run(lambda chosen, stop: run_scheduler(chosen, stop=stop), "scheduler")


@click.command()
def worker() -> None:
    """Do what is due: ask registers, prepare batches, publish lists, sign the audit.

    On PostgreSQL run as many as you like, on any number of machines: they share the work through the database, and a
    killed one's jobs are taken up by the others within half a minute. `uec jobs list` shows what was done. A run that
    hangs is ended by `uec jobs end`, or at the limit of its job: the worker then begins anew, with the same number.
    """
    from uec.worker import run_worker  # noqa: PLC0415

    _run(lambda chosen, stop: run_worker(chosen, stop=stop), "worker")


@click.command()
def hub() -> None:
    """Run the card sessions of the stations; the only process that talks to cards.

    Run as many as you like, each with an address of its own that the stations know: they share the stations and the
    work through the database, and what a killed one leaves is finished by the others.
    """
    from uec.hub.server import run_hub  # noqa: PLC0415

    _run(lambda chosen, stop: run_hub(chosen, stop=stop), "hub")


@click.command()
@passphrase_files_option
def vault(passphrase_files: tuple[Path, ...]) -> None:
    """Unlock the keys and serve them to the other processes over local sockets.

    Both custodians type their passphrases, or two files hold them (also the setting `vault_passphrase_files`).
    With the setting `pkcs11_module` the keys are in a token, and the passphrases are the two halves of its PIN.
    """
    from issuance.keys.service import serve as serve_vault  # noqa: PLC0415
    from uec.services import vaults  # noqa: PLC0415

    chosen = settings()
    passphrases = read_passphrases(passphrase_files or chosen.vault_passphrase_files)
    with vaults.serving(chosen, passphrases, clock=now) as opened:
        serve_vault(
            opened, chosen.vault_socket, on_ready=lambda: click.echo("vault runs; stop it with Ctrl-C", err=True)
        )


@click.command()
def serve() -> None:
    """Run the web pages and the API on `web_listen` (granian); it opens no reader and no vault."""
    from granian.constants import Interfaces  # noqa: PLC0415
    from granian.server import Server  # noqa: PLC0415

    chosen = _ready(settings())
    os.environ[ENVIRONMENT] = str(chosen.source)  # the server's own processes read the same file
    host, port = split_address(chosen.web_listen)
    click.echo(f"web pages on http://{chosen.web_listen}; stop with Ctrl-C", err=True)
    Server(
        "uec.cli.wsgi:application",
        address="127.0.0.1" if host == "localhost" else host,
        port=port,
        interface=Interfaces.WSGI,
        blocking_threads=8,
        log_access=False,
        workers_kill_timeout=WORKER_STOP_TIMEOUT_S,
    ).serve()
