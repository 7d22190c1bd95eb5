"""`scripts/demo`: the whole main job once, a report, and then the site until Ctrl-C."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from card_io.errors import CardError
from issuance.errors import IssuanceError
from uec.demo import people
from uec.demo.main_job import Report, run_main_job
from uec.demo.site import AUTO, TRANSPORTS, Plan, Site
from uec.demo.tray_page import TrayServer
from uec.domain.errors import UecError
from uec.processes import free_port


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Set the office up with made-up residents, run the main job (applications to cards in people's "
        "hands, and on to a replacement), then serve the site on http://127.0.0.1:8080.",
    )
    parser.add_argument("--once", action="store_true", help="run the main job, print its report and exit")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object on the last line")
    parser.add_argument("--residents", type=int, default=1000, metavar="N", help="size of the register (1000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the same seed makes the same people (1)")
    parser.add_argument("--port", type=int, default=8080, help="where the pages are (8080; any free one with --once)")
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="made anew each time (.demo)")
    parser.add_argument(
        "--transport",
        choices=TRANSPORTS,
        default=AUTO,
        help="pcsc: cards in the machine's virtual readers; in-process: without PC/SC; auto: pcsc where it can be had",
    )
    parser.add_argument("--database", default="", metavar="URL", help="an empty PostgreSQL database; default SQLite")
    return parser.parse_args()


def say(line: str) -> None:
    """Tell the person at the terminal what is being done."""
    print(f"==> {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the demo; 0 when all of it held, 1 when something did not, 130 when interrupted."""
    wanted = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both leave every block, and so end all that was started
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _run(wanted)
    except (UecError, IssuanceError, CardError) as error:
        print(f"uec: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"uec: {error.strerror or error}: {error.filename or 'check disk, rights, network'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(wanted: argparse.Namespace) -> int:
    started = time.monotonic()
    port = free_port() if wanted.once else wanted.port
    plan = Plan(wanted.folder.absolute(), wanted.residents, wanted.seed, wanted.database, port, wanted.transport)
    with Site(plan, say) as site:
        site.prepare()
        site.start()
        report = run_main_job(
            site.settings,
            transport=site.transport,
            tray=site.tray,
            residents_csv=site.residents_csv,
            municipalities_csv=site.municipalities_csv,
            say=say,
            alive=site.alive,
        )
        site.check()
        print(report.as_text())
        if not wanted.once:
            _serve(site, report.try_out)
    if wanted.json:
        print(json.dumps(report.as_json() | {"seconds_with_setup": round(time.monotonic() - started, 1)}))
    return _verdict(report)


def _verdict(report: Report) -> int:
    for problem in report.problems:
        print(f"uec: {problem}", file=sys.stderr)
    return 1 if report.problems else 0


def _serve(site: Site, try_out: Sequence[str]) -> None:
    """Show where everything is and what to try, and stay until Ctrl-C."""
    tray = TrayServer(site.tray, free_port(), site.settings.base_url)
    tray.start()
    print(f"\nThe site:        {site.settings.base_url}")
    print(f"Staff sign in:   {site.settings.base_url}/sign-in")
    print(f"The card tray:   http://127.0.0.1:{tray.server_address[1]}  (puts cards into the readers)")
    print(f"\nPassword of everybody: {people.PASSWORD}\n")
    for person in people.SIGN_INS:
        print(f"  {person.login:<10} {person.en} / {person.ru}")
    print(f"  {people.ADMIN_LOGIN:<10} adds staff / заводит сотрудников")
    print("\nTo try:" if try_out else "")
    for line in try_out:
        print(f"  - {line}")
    print("\nStop with Ctrl-C.", flush=True)
    try:
        site.stay()
    except KeyboardInterrupt:
        say("stopping")
    finally:
        tray.shutdown()
        tray.server_close()


if __name__ == "__main__":
    sys.exit(main())
