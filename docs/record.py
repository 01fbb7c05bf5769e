"""Record the documentation's example output and pictures from real runs: `python docs/record.py`.

Each command runs in one temporary directory, 80 columns wide; what it prints goes to docs/output/NAME.txt below the
command itself. The picture of the demo goes to docs/images/demo.png.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROWS = 300

COMMANDS = {
    "help": "headprint --help",
    "extract": f"headprint extract lab lab:math --limit {ROWS} --out runs/math",
    "extract-code": f"headprint extract lab lab:code --limit {ROWS} --out runs/code",
    "show": "headprint show runs/math",
    "diff": "headprint diff runs/math runs/code --png demo.png",
    "verify": "headprint verify lab",
    "bench": "headprint bench lab --examples 32",
    "error-line": "headprint extract lab broken.jsonl --out runs/broken",
    "error-resume": f"headprint extract lab lab:math --limit {ROWS} --loss sum --out runs/math",
}
BROKEN = '{"prompt": "2 + 2 =", "completion": " 4"}\n{"prompt": "2 + 3 ="}\n'


def main() -> None:
    """Run all of them."""
    environment = {**os.environ, "COLUMNS": "80", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    (HERE / "output").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "broken.jsonl").write_text(BROKEN)
        for name, command in COMMANDS.items():
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
            lines = [line.rstrip() for line in done.stdout.splitlines()]
            (HERE / "output" / f"{name}.txt").write_text("\n".join([f"$ {command}", *lines]).strip() + "\n")
            print(f"{command}: {len(lines)} lines")
        shutil.copy(Path(directory, "demo.png"), HERE / "images" / "demo.png")
        manifest = json.loads(Path(directory, "runs/math/manifest.json").read_text())
    for described in (manifest["provenance"]["model"], manifest["settings"]["model"]):
        if "id" in described:  # where this checkout happens to lie
            described["id"] = Path(described["id"]).name
    (HERE / "output" / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
