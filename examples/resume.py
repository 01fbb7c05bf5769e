"""Kill an extraction in the middle and go on from there: finished shards are never redone.

Starts `headprint extract` in a process of its own, kills it after the first shard, looks at what is there, and gives
the same command again.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import headprint

OUT = Path("runs/examples/resumed")
OPTIONS = ["--limit", "120", "--shard-size", "20", "--out", str(OUT)]
COMMAND = [sys.executable, "-m", "headprint", "extract", "lab", "lab:math", *OPTIONS]


def main() -> None:
    first = OUT / "part-00000.parquet"
    shutil.rmtree(OUT, ignore_errors=True)
    process = subprocess.Popen(COMMAND)
    while process.poll() is None and not first.exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    written = first.stat().st_mtime_ns

    so_far = headprint.PatternSet.load(OUT, partial=True)
    print(f"after the kill: {so_far}")
    print(f"a pattern of what there is: {so_far.pattern()}")

    subprocess.run(COMMAND, check=True)
    levels = headprint.load(OUT)
    print(f"after the second run: {levels}")
    print(f"the first shard is the one from before: {first.stat().st_mtime_ns == written}")


if __name__ == "__main__":
    main()
