"""Start the process that runs a model's Python, and read what it returns.

The process is confined, from the outside in, by:

- a process of its own, isolated (``python -I -S``, no environment, an empty working directory that is deleted
  afterwards, only stdin and stdout open), killed with its group when time is up;
- limits of the operating system: CPU time, address space, size of its output, no open files, no processes;
- on Linux (x86-64, arm64) a seccomp filter, which allows only the system calls that allocate memory, read and write
  what is already open, and exit: the file system, the network and other processes cannot be reached;
- an audit hook that ends the process at the first attempt to open a file, import anything but a few modules, or call
  the operating system. It names what was tried; a determined attacker can get around it, and without seccomp it is the
  only barrier.

The code is read from stdin, and the value goes back as JSON in a bounded file; nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from headprint.base.errors import InputError

Failure: TypeAlias = Literal["syntax", "exception", "forbidden", "timeout", "memory", "value", "crash"]
"""What went wrong: the code is not valid Python; it raised an exception; it tried something that is not allowed; it
took too long, or too much memory; its result is not a plain value, or too large; its process died."""

OUTPUT_BYTES = 1 << 16
"""The largest value, as JSON."""

_CHILD = Path(__file__).with_name("child.py")
_START_SECONDS = 10.0  # for the interpreter itself, which a busy machine starts slowly


@dataclass(frozen=True)
class Result:
    """The outcome of a run.

    Attributes:
        value: What the call returned: a number, text, True or False, None, or lists (tuples too) and dicts of these.
        error: Why it did not return; None if it did.
        message: The same in words.
        seccomp: Whether the kernel's filter was on.
    """

    value: Any = None
    error: Failure | None = None
    message: str = ""
    seccomp: bool = False


def run(source: str, call: str = "solution()", *, timeout: float = 5.0, memory: int = 256 << 20) -> Result:
    """Execute source code, then evaluate an expression, in a process that can only compute.

    What the code prints is discarded. It may import modules that need nothing from the system: math, cmath,
    itertools, functools, operator, collections, heapq, bisect, fractions, decimal, statistics, random, re, string,
    datetime, typing, dataclasses.

    Args:
        source: Python, such as the definition of a function.
        call: An expression that is evaluated afterwards; its value is the result.
        timeout: Seconds at most.
        memory: Bytes of address space at most, including the interpreter's own.

    Raises:
        InputError: The system is not POSIX, where a process cannot be confined.
    """
    if os.name != "posix":
        raise InputError("running a model's Python needs Linux or macOS; choose another scorer")
    order = {"source": source, "call": call, "cpu": timeout, "memory": memory, "output": OUTPUT_BYTES}
    with tempfile.TemporaryDirectory(prefix="headprint-") as folder, tempfile.TemporaryFile() as written:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=written,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            close_fds=True,
            start_new_session=True,
        )
        try:
            process.communicate(json.dumps(order).encode(), timeout=timeout + _START_SECONDS)
        except subprocess.TimeoutExpired:
            return Result(error="timeout", message=f"took longer than {timeout:g} s")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        written.seek(0)
        return _read(written.read(OUTPUT_BYTES + 1), process.returncode, timeout)


def _read(text: bytes, code: int, timeout: float) -> Result:
    """Read what the process wrote, which is not to be trusted."""
    if -code in (signal.SIGXCPU, signal.SIGALRM):
        return Result(error="timeout", message=f"took longer than {timeout:g} s")
    try:
        answer = json.loads(text)
        seccomp = bool(answer["seccomp"])
        if "value" in answer:
            return Result(answer["value"], seccomp=seccomp)
        return Result(error=answer["error"], message=str(answer["message"])[:500], seccomp=seccomp)
    except (ValueError, KeyError, TypeError, RecursionError):
        return Result(error="crash", message=f"the process ended with code {code}")
