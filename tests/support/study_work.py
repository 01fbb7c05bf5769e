"""Jobs that take no time, for the tests of the study's graph."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from headprint.base.errors import InputError

Settings = dict[str, Any]
Needs = dict[str, Path]


def number(settings: Settings, needs: Needs, out: Path) -> None:
    """A value that depends on the settings, and on all that is needed."""
    assert not list(out.iterdir())  # what a killed run left is gone
    log(settings, out)
    (out / "half").write_text("written first")
    time.sleep(settings.get("seconds", 0))
    below = [json.loads((folder / "value.json").read_text()) for folder in needs.values()]
    (out / "value.json").write_text(json.dumps(settings["value"] + sum(below)))


def fragile(settings: Settings, needs: Needs, out: Path) -> None:
    """Fails as long as a file is there."""
    if Path(settings["stone"]).exists():
        raise InputError("stumbled over a stone; take it away")
    number(settings, needs, out)


def log(settings: Settings, out: Path) -> None:
    """Each job that is begun, and by whom, beside the cache."""
    with (out.parent.parent / "log").open("a") as file:
        file.write(f"{settings['value']} {os.getpid()}\n")
