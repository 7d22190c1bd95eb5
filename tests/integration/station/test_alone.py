"""A window's machine has the base packages only, and may run Windows: the agent is enrolled and makes a card there."""

import ast
import importlib.util
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.station.conftest import WAIT_S, Network
from tests.integration.station.test_hub import done
from uec.domain.lifecycle import OperationKind
from uec.hub.enrolment import code_hash, new_code
from uec.services import stations
from uec.settings import shipped_profiles

ROOT = Path(__file__).parents[3]
NAMES = {
    "python-pkcs11": "pkcs11",
    "python-stdnum": "stdnum",
    "pillow": "PIL",
    "fonttools": "fontTools",
    "fpdf2": "fpdf",
}
POSIX = {"fcntl", "grp", "posix", "pwd", "readline", "resource", "syslog", "termios", "tty"}

# What the base set does not bring cannot be imported; then the command line runs as it would there.
ALONE = """
import sys
BLOCKED = set(sys.argv.pop(1).split(","))
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from uec.cli import run
code = run(sys.argv[1:])
print("loaded", *sorted(name for name in sys.modules if name.split(".")[0] in {"uec", "issuance", "card_io"}))
sys.exit(code)
"""


def office_modules() -> set[str]:
    """What the extra `office` and the development set bring, as it is imported."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = [re.split(r"[^A-Za-z0-9-]", line)[0].lower() for line in extras["office"]]
    return {NAMES.get(name, name.replace("-", "_")) for name in named} | {"werkzeug", "jinja2", "fontTools"}


def uec(*arguments: str) -> list[str]:
    return [sys.executable, "-c", ALONE, ",".join(office_modules()), *arguments]


def ran(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(uec(*arguments), capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def agent(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The agent as a process; its lines of standard error are kept in `said`."""
    process = subprocess.Popen(uec(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(WAIT_S)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


@pytest.mark.slow
def test_an_agent_alone_is_enrolled_and_makes_a_card(network: Network) -> None:
    assert {"flask", "sqlalchemy", "psycopg", "alembic"} <= office_modules()
    code = new_code(network.office.desk.bench.random)
    with network.office.sessions() as session:
        station_id = stations.create(
            session,
            name="window-1",
            point_id=None,
            code_hash=code_hash(code),
            actor=network.office.staff.security,
            now=network.office.clock(),
        )
    folder = str(network.folder / "alone")
    enrolled = ran("station", "enrol", "--code", code, "--hub", network.url, "--folder", folder)
    assert enrolled.returncode == 0 and "Enrolled" in enrolled.stdout, enrolled.stderr
    network.station_settings("window-1")  # makes the folder of its readers
    network.insert("window-1", "left", 1)
    readers = f"virtual:{network.folder / 'readers-window-1'}"
    with agent("station", "run", "--hub", network.url, "--folder", folder, "--readers", readers) as process:
        asked = network.request(OperationKind.PERSONALISE, network.prepared_card(1), station_id, None)
        assert done(network, asked).result["genuine"] is True
        process.terminate()
        said, told = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0 and "is linked to" in told, told
    posix = {name: found for name in said.split()[1:] if (found := imported(name) & POSIX)}
    assert posix == {}, "an agent is to run on Windows too"


def imported(name: str) -> set[str]:
    """The modules that a module of ours imports when it is loaded; not those inside its functions."""
    path = ROOT / Path(*name.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found: set[str] = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_the_office_s_commands_say_what_is_not_installed() -> None:
    for command in (["hub", "--help"], ["station", "--help"]):
        assert ran(*command).returncode == 0
    refused = ran("hub")
    assert refused.returncode == 1
    assert "uec[office]" in refused.stderr and "fault of the program" not in refused.stderr


def test_a_stations_machine_is_a_terminal_too(tmp_path: Path) -> None:
    """Cards and evidence are judged offline: with the issuer's certificates, and nothing of the office installed."""
    wrong = tmp_path / "wrong.cer"
    wrong.write_bytes(b"")
    refused = ran("card", "check", "--root", str(wrong), "--issuing", str(wrong))
    assert refused.returncode == 2 and "is no certificate" in refused.stderr, refused.stderr
    (tmp_path / "0001.json").write_text("{}")
    judged = ran("card", "evidence", str(tmp_path))
    assert judged.returncode == 0 and "not signed" in judged.stdout, judged.stderr


def test_what_is_installed_without_a_checkout_has_its_profiles(tmp_path: Path) -> None:
    """A wheel carries profiles, faces and calendar to where `shipped_profiles` looks for them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        carried = tomllib.load(file)["tool"]["setuptools"]["data-files"]
    for folder, (pattern,) in carried.items():
        assert folder == f"share/uec/{Path(pattern).parent.name}" and list(ROOT.glob(pattern)), folder
    assert shipped_profiles() == ROOT / "config" / "profiles"
    installed = tmp_path / "uec" / "settings.py"
    installed.parent.mkdir()
    installed.write_text((ROOT / "uec" / "settings.py").read_text(encoding="utf-8"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("settings_elsewhere", installed)
    assert spec is not None and spec.loader is not None
    elsewhere = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = elsewhere  # dataclasses look their module up
    try:
        spec.loader.exec_module(elsewhere)
    finally:
        del sys.modules[spec.name]
    assert elsewhere.shipped_profiles() == Path(sysconfig.get_path("data")) / "share" / "uec" / "profiles"
