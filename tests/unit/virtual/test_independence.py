"""The card side must not be able to agree with the project's host by sharing its code."""

import ast
from pathlib import Path

import pytest

import card_io.virtual

FOLDER = Path(card_io.virtual.__file__).parent
SHARED = {
    "card_io.errors",
    "card_io.secret",
    "card_io.tlv",
    "card_io.apdu",
    "card_io.applets.uec.layout",
    "card_io.applets.uec",
}
# A virtual reader with keys hands itself to the host's own side (`PinPad`); what that sends it takes apart by itself.
OF_READER = {"pinpad.py": {"card_io.pinpad", "card_io.reader_errors"}}


def imported(path: Path) -> set[str]:
    """Modules of this room that a file imports; `from package import name` counts as the package."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "card_io":
            names |= {f"card_io.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name for name in names if name.startswith("card_io")}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_only_codecs_and_the_layout_are_shared(path: Path) -> None:
    foreign = {name for name in imported(path) if not name.startswith("card_io.virtual")}
    assert foreign <= SHARED | OF_READER.get(str(path.relative_to(FOLDER)), set())
