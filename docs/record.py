"""Record the documentation's example output and pictures from real runs, or check that they are up to date.

    python docs/record.py            # records: docs/output/NAME.txt, manifest.json and docs/images/demo.png
    python docs/record.py --check    # exit code 1 and a diff where a command now prints something else

Each command runs in one temporary directory, 80 columns wide; what it prints is recorded below the command itself. The
check runs the same commands on fewer rows and compares everything but numbers and shading, which differ from machine to
machine, so it finds renamed options, new lines and changed wording.
"""

import argparse
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROWS, EXAMPLES = 300, 32
FEW_ROWS, FEW_EXAMPLES = 24, 4  # of a check

COMMANDS = {
    "help": "headprint --help",
    "extract": "headprint extract lab lab:math --limit {rows} --out runs/math",
    "extract-code": "headprint extract lab lab:code --limit {rows} --out runs/code",
    "show": "headprint show runs/math",
    "diff": "headprint diff runs/math runs/code --plot demo.png",
    "verify": "headprint verify lab",
    "bench": "headprint bench lab --examples {examples}",
    "error-line": "headprint extract lab broken.jsonl --out runs/broken",
    "error-resume": "headprint extract lab lab:math --limit {rows} --loss sum --out runs/math",
}
BROKEN = '{"prompt": "2 + 2 =", "completion": " 4"}\n{"prompt": "2 + 3 ="}\n'
MANIFEST = "manifest.json"
RANKING = re.compile(r"(layer 0 head 0 0 ?)+")  # how many heads rise, and are listed, depends on the rows
PROGRESS = re.compile(r"\w+: [\d,]+ of [\d,]+ ")


def main() -> None:
    """Record, or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with what is recorded, and write nothing")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as directory:
        sizes = {"rows": FEW_ROWS, "examples": FEW_EXAMPLES} if check else {"rows": ROWS, "examples": EXAMPLES}
        found = run_all(Path(directory), **sizes)
        if check:
            sys.exit(differences(found))
        for name, text in found.items():
            (HERE / "output" / name).write_text(text, "utf-8")
        shutil.copy(Path(directory, "demo.png"), HERE / "images" / "demo.png")


def run_all(directory: Path, **sizes: int) -> dict[str, str]:
    """Run the commands one after the other.

    Returns:
        The content of each file of docs/output.
    """
    environment = {**os.environ, "COLUMNS": "80", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    (directory / "broken.jsonl").write_text(BROKEN, "utf-8")
    found = {}
    for name, template in COMMANDS.items():
        command = template.format(**sizes)
        done = subprocess.run(
            [sys.executable, "-m", *command.split()],
            cwd=directory,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode != (2 if name.startswith("error") else 0):
            sys.exit(f"{command}: exit code {done.returncode}\n{done.stdout}")
        # How many lines of progress there are depends on how fast the machine is.
        lines = [line.rstrip() for line in done.stdout.splitlines() if not PROGRESS.match(line)]
        found[f"{name}.txt"] = "\n".join([f"$ {command}", *lines]).strip() + "\n"
    manifest = json.loads((directory / "runs/math" / MANIFEST).read_text("utf-8"))
    for described in (manifest["provenance"]["model"], manifest["settings"]["model"]):
        if "id" in described:  # the path of this checkout
            described["id"] = Path(described["id"]).name
    found[MANIFEST] = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    return found


def differences(found: dict[str, str]) -> int:
    """Print where something else is recorded than was found; return 1 if there is such a place."""
    stale = False
    for name, text in found.items():
        recorded = (HERE / "output" / name).read_text("utf-8")
        compared = _keys if name == MANIFEST else _words
        lines = list(
            difflib.unified_diff(compared(recorded), compared(text), f"docs/output/{name}", "now", lineterm="")
        )
        stale |= bool(lines)
        print(*lines, sep="\n", end="\n" if lines else "")
    if stale:
        print("The recorded output is out of date: run python docs/record.py", file=sys.stderr)
    return int(stale)


def _words(text: str) -> list[str]:
    """What a command prints without numbers, shading and the width of columns; its lines, empty ones left out."""
    text = re.sub(r"\d[\d.,]*(e[+-]\d+)?", "0", text)
    text = re.sub(r"[░▒▓█≡=#–-]", " ", text)
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return [line for line in lines if not RANKING.fullmatch(line)]


def _keys(text: str) -> list[str]:
    """The names of all fields of a JSON object, nested ones with dots."""

    def walk(value: Any, place: str) -> set[str]:
        if isinstance(value, dict):
            return {place}.union(*(walk(each, f"{place}.{key}") for key, each in value.items()))
        if isinstance(value, list):
            return {place}.union(*(walk(each, f"{place}[]") for each in value))
        return {place}

    return sorted(walk(json.loads(text), ""))


if __name__ == "__main__":
    main()
