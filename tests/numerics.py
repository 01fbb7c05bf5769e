"""Run the numeric tests as other processors would compute them, and print what passed as a table.

Float32 sums depend on the instructions and the number of threads that PyTorch, oneDNN and MKL choose, so a tolerance
that holds on one machine can fail on another. Run ``make numerics``, or ``python tests/numerics.py [PYTEST-ARGS…]`` for
other tests than the default ones. Exits with 1 if any run failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

SETTINGS = (
    "",
    "ATEN_CPU_CAPABILITY=default",
    "ATEN_CPU_CAPABILITY=avx2",
    "ATEN_CPU_CAPABILITY=avx512",
    "ONEDNN_MAX_CPU_ISA=AVX2",
    "ONEDNN_MAX_CPU_ISA=AVX512_CORE",
    "ONEDNN_MAX_CPU_ISA=AVX512_CORE_AMX",
    "MKL_CBWR=COMPATIBLE",
)
THREADS = (1, 2)
TESTS = (
    "tests/measure",
    "tests/models",
    "tests/evaluation/test_ablation.py",
    "tests/training/test_online.py",
    "tests/training/test_tracker.py",
)


def main(tests: list[str]) -> int:
    """Run the tests under every setting."""
    print("| setting | threads | result |\n|---|---|---|", flush=True)
    failed = False
    for setting in SETTINGS:
        for threads in THREADS:
            name, _, value = setting.partition("=")
            own = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
            run = subprocess.run(
                [sys.executable, "-m", "pytest", "-v", "--no-header", "-p", "no:cacheprovider", *(tests or TESTS)],
                env={**os.environ, **own, **({name: value} if name else {})},
                capture_output=True,
                text=True,
            )
            last = run.stdout.strip().splitlines()[-1].strip("= ") if run.stdout.strip() else run.stderr.strip()
            result = re.sub(r" in [\d.]+s.*", "", last)
            print(f"| {f'`{setting}`' if setting else 'none'} | {threads} | {result} |", flush=True)
            failed |= run.returncode != 0
            for line in run.stdout.splitlines():
                if line.startswith(("FAILED", "ERROR")):
                    print(f"<!-- {line} -->", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
