"""A disk that is full, for files that are written beside their place: the kernel's own device that is always full."""

from pathlib import Path
from typing import Any

import pytest


def fill_the_disk(patch: pytest.MonkeyPatch) -> None:
    """Let every file that ends in `.part` be written to /dev/full until the patch ends."""
    opened = Path.open

    def open_full(path: Path, mode: str = "r", **options: Any) -> Any:
        return opened(Path("/dev/full"), "w", **options) if path.suffix == ".part" else opened(path, mode, **options)

    patch.setattr(Path, "open", open_full)
