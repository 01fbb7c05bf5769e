"""The process of the sandbox: it locks itself in, runs the code it is given, and writes the result.

Started as a file by ``python -I -S``; imports only the standard library.
"""

import ctypes
import decimal
import fractions
import json
import os
import resource
import signal
import struct
import sys
import warnings
from math import ceil

OFFERED = (
    *("math", "cmath", "itertools", "functools", "operator", "collections", "collections.abc", "heapq", "bisect"),
    *("fractions", "decimal", "statistics", "random", "re", "string", "datetime", "_strptime", "typing"),
    *("dataclasses", "numbers", "copy"),
)
"""Modules that are imported before the process locks itself in."""

ALLOWED_CALLS = {
    "x86_64": {
        "arch": 0xC000003E,
        "read": 0, "write": 1, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigreturn": 15, "mremap": 25,
        "madvise": 28, "exit": 60, "futex": 202, "clock_gettime": 228, "exit_group": 231, "getrandom": 318,
    },
    "aarch64": {
        "arch": 0xC00000B7,
        "read": 63, "write": 64, "mmap": 222, "mprotect": 226, "munmap": 215, "brk": 214, "rt_sigreturn": 139,
        "mremap": 216, "madvise": 233, "exit": 93, "futex": 98, "clock_gettime": 113, "exit_group": 94,
        "getrandom": 278,
    },
}  # fmt: skip
"""Numbers of the allowed system calls, by architecture; "arch" is the kernel's constant for it (linux/audit.h)."""

HARMLESS = ("compile", "exec", "builtins.", "object.", "code.", "sys._getframe", "sys.unraisablehook", "time.sleep")
"""Beginnings of the audit events that do not concern the system; all others end the process."""


def limit(cpu: float, memory: int, output: int) -> None:
    """Limit the resources of the process; the limits cannot be raised again."""
    for name, value in (
        ("RLIMIT_CPU", ceil(cpu) + 1),
        ("RLIMIT_AS", memory),
        ("RLIMIT_FSIZE", output),
        ("RLIMIT_NOFILE", 0),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_CORE", 0),
    ):
        # macOS knows some of these and does not enforce them.
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (AttributeError, ValueError, OSError):
            continue
    signal.setitimer(signal.ITIMER_REAL, cpu)  # SIGALRM ends the process, which cannot catch it


def lock() -> bool:
    """Give up all but a few system calls for good; return False where the kernel cannot do that."""
    if not sys.platform.startswith("linux") or os.uname().machine not in ALLOWED_CALLS:
        return False
    numbers = dict(ALLOWED_CALLS[os.uname().machine])
    arch = numbers.pop("arch")
    load, equal, give = 0x20, 0x15, 0x06  # BPF: load a word, jump if equal, return
    allow, refuse, kill = 0x7FFF0000, 0x00050001, 0x80000000  # refuse with EPERM
    program = [(load, 0, 0, 4), (equal, 1, 0, arch), (give, 0, 0, kill), (load, 0, 0, 0)]
    program += [(equal, len(numbers) - i, 0, number) for i, number in enumerate(numbers.values())]
    program += [(give, 0, 0, refuse), (give, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    zero = ctypes.c_ulong(0)
    given = Program(len(program), ctypes.cast(code, ctypes.c_void_p))
    no_new_privileges, set_seccomp, filter_mode = 38, 22, ctypes.c_ulong(2)
    return bool(
        prctl(no_new_privileges, ctypes.c_ulong(1), zero, zero, zero) == 0
        and prctl(set_seccomp, filter_mode, ctypes.byref(given), zero, zero) == 0
    )


class Nowhere:
    """A file that discards everything written to it."""

    def write(self, text: str) -> int:
        """Discard the text."""
        return len(text)

    def flush(self) -> None:
        """Do nothing."""


class NotPlainError(Exception):
    """A value that JSON cannot represent."""


def plain(value: object, depth: int = 0) -> object:
    """Convert a value to what JSON can represent.

    Raises:
        NotPlainError: It is of another type, or nested too deeply.
    """
    if depth > 50:
        raise NotPlainError("returned a value nested too deeply")
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float | decimal.Decimal | fractions.Fraction | int):
        return float(value)
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    raise NotPlainError(f"returned a {type(value).__name__}, which is not a plain value")


def main() -> None:
    """Read an order from stdin, carry it out, and write the outcome to stdout."""
    order = json.loads(sys.stdin.buffer.read())
    for name in OFFERED:
        __import__(name)
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    sys.stdin, sys.stdout, sys.stderr = None, Nowhere(), Nowhere()
    write, leave, encode = os.write, os._exit, json.dumps
    state = {"seccomp": False}

    def answer(**content: object) -> None:
        try:
            text = encode({**content, **state}).encode()
        except (ValueError, RecursionError, MemoryError):
            text = b""
        if not 0 < len(text) <= order["output"]:
            text = encode({"error": "value", "message": "returned too large a value", **state}).encode()
        write(1, text)
        leave(0)

    def guard(event: str, arguments: tuple[object, ...]) -> None:
        if event == "import":
            raise ImportError(f"no module {arguments[0]!r} in the sandbox")
        if not event.startswith(HARMLESS):
            answer(error="forbidden", message=f"tried {event}")

    limit(order["cpu"], order["memory"], order["output"])
    state["seccomp"] = lock()
    for name in ("ctypes", "_ctypes", "resource", "signal", "struct"):
        sys.modules.pop(name, None)
    try:
        # Before the hook is added: to show the line of a syntax error, Python would open a file.
        definitions, call = compile(order["source"], "<solution>", "exec"), compile(order["call"], "<call>", "eval")
        sys.addaudithook(guard)
        names: dict[str, object] = {"__name__": "solution"}
        exec(definitions, names)
        answer(value=plain(eval(call, names)))
    except SyntaxError as error:
        answer(error="syntax", message=str(error))
    except MemoryError:
        answer(error="memory", message="took too much memory")
    except PermissionError as error:  # what seccomp refuses
        answer(error="forbidden", message=str(error))
    except NotPlainError as error:
        answer(error="value", message=str(error))
    except BaseException as error:  # SystemExit and KeyboardInterrupt, too
        answer(error="exception", message=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
