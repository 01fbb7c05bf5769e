"""The sandbox: what honest code returns, and attacks on it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from headprint.evaluation.sandbox import child as sandbox_child
from headprint.evaluation.sandbox import run, runner

LINUX = sys.platform.startswith("linux") and os.uname().machine in sandbox_child.ALLOWED_CALLS


def attempt(body: str, **options):
    """Run some lines as the body of a function."""
    return run(f"def solution():\n{textwrap.indent(textwrap.dedent(body), '    ')}", **options)


def test_what_honest_code_returns() -> None:
    source = """
import math, statistics, datetime, typing
from collections import Counter, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

Point = namedtuple("Point", "x y")

@dataclass
class Box:
    width: float = 1.5

class Named(typing.NamedTuple):
    n: int = 7

def solution(n=4):
    print("thinking aloud")
    start = datetime.datetime.strptime("2020-02-27", "%Y-%m-%d")
    later = start + datetime.timedelta(days=n)
    return [math.sqrt(n), Box().width, Point(1, 2), Named(), Fraction(1, 2), Decimal("2.5"),
            statistics.mean([1, 2]), dict(Counter("aab")), later.day, n > 3, None, "é", -n]
"""
    found = run(source)
    assert found.error is None, found
    assert found.value == [2.0, 1.5, [1, 2], [7], 0.5, 2.5, 1.5, {"a": 2, "b": 1}, 2, True, None, "é", -4]
    assert run(source, "solution(9)[0]").value == 3.0
    assert run("x = 20", "x + 22").value == 42
    assert found.seccomp == LINUX


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ("def solution(:", "syntax", "invalid syntax"),
        ("x = (", "syntax", "never closed"),
        ("a\0b", "syntax", "null bytes"),
        ("x = 1", "exception", "NameError: name 'solution' is not defined"),
        ("solution = lambda: 1 / 0", "exception", "ZeroDivisionError"),
        ("def solution(): raise SystemExit", "exception", "SystemExit"),
        ("def solution(): return solution()", "exception", "RecursionError"),
        ("import numpy", "exception", "no module 'numpy' in the sandbox"),
        ("solution = object", "value", "returned a object"),
        ("def solution(): return print", "value", "returned a builtin_function"),
        ("solution = lambda: 'x' * 10**6", "value", "too large"),
        ("solution = lambda: 10 ** 10**5", "value", "too large"),
        ("solution = lambda: [0] * 10**5", "value", "too large"),
        ("def solution():\n    a = []\n    a.append(a)\n    return a", "value", "nested"),
        ("solution = lambda: 'x' * 10**10", "memory", "memory"),
        ("def solution():\n    a = [1]\n    while True: a += a", "memory", "memory"),
    ],
)
def test_what_goes_wrong_has_a_kind(source, error, said) -> None:
    found = run(source)
    assert (found.error, found.value) == (error, None)
    assert said in found.message


@pytest.mark.parametrize("body", ["while True: pass", "return sum(range(10**12))", "return 3 ** 3 ** 20"])
def test_time_is_bounded_also_where_no_bytecode_runs(body) -> None:
    started = time.monotonic()
    assert attempt(body, timeout=0.5).error == "timeout"
    assert time.monotonic() - started < 30  # not the hours that it would take


ATTACKS = {
    "read a file": "return open('/etc/passwd').read()",
    "read by descriptor": "import os; return os.open('/etc/passwd', 0)",
    "open through io": "import io; return io.FileIO('/etc/passwd').read()",
    "list a directory": "import os; return os.listdir('/')",
    "write a file": "open('{tmp}/pwned', 'w').write('x')",
    "delete a file": "import os; os.remove('{tmp}/kept')",
    "run a shell": "import os; os.system('touch {tmp}/pwned')",
    "fork": "import os\nif os.fork() == 0: open('{tmp}/pwned', 'w')",
    "become another program": "import os; os.execv('/usr/bin/touch', ['touch', '{tmp}/pwned'])",
    "spawn": "import os; os.posix_spawn('/usr/bin/touch', ['touch', '{tmp}/pwned'], dict())",
    "kill the parent": "import os; os.kill(os.getppid(), 9)",
    "kill its group": "import os; os.killpg(os.getppid(), 15)",
    "start a thread": "import _thread; _thread.start_new_thread(print, ())",
    "sleep": "import time; time.sleep(60)",
    "trace": "import sys; sys.settrace(lambda *a: None); sys.addaudithook(print)",
    "look around the heap": "import gc; return len(gc.get_objects())",
    "import by hand": "return __import__('socket').socket()",
    "import by machinery": "import sys; return sys.meta_path[-1].find_spec('socket').origin",
    "change the limits": "import sys; return sys.modules['resource'].getrlimit(0)",
    "chdir": "import os; os.chdir('/')",
    "raise from a class": """
        for c in object.__subclasses__():
            if c.__name__ == 'FileIO' or c.__name__ == '_IOBase':
                for d in c.__subclasses__() + [c]:
                    for e in d.__subclasses__() + [d]:
                        if e.__name__ == 'FileIO': return e('/etc/passwd').readall().decode()
    """,
    "native code": """
        for c in object.__subclasses__():
            if c.__name__ == 'CDLL':
                libc = c(None)
                return libc.system(b'touch {tmp}/pwned')
        raise LookupError
    """,
    "native code without asking": """
        for c in object.__subclasses__():
            if c.__name__ == 'CDLL':
                api = c.__init__.__globals__['pythonapi']
                return api.system(b'touch {tmp}/pwned')
        raise LookupError
    """,
    "swallow the refusal": """
        try: open('{tmp}/pwned', 'w')
        except BaseException: pass
        try: open('{tmp}/pwned', 'w')
        finally: return 5
    """,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_do_nothing(name, tmp_path) -> None:
    (tmp_path / "kept").write_text("kept")
    found = attempt(ATTACKS[name].replace("{tmp}", str(tmp_path)), timeout=2)
    assert found.error in ("forbidden", "exception"), found
    assert found.value is None
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_what_is_tried_is_named() -> None:
    assert attempt("open('/etc/passwd')").message == "tried open"
    assert attempt("import os; os.system('true')").message == "tried os.system"


def test_nothing_of_this_process_is_seen() -> None:
    os.environ["HEADPRINT_SECRET"] = "secret"
    try:
        assert attempt("import os; return list(os.environ)").value in ([], ["LC_CTYPE"])
    finally:
        del os.environ["HEADPRINT_SECRET"]
    # Nothing of ours, and no library of the environment, is on its path.
    path = attempt("import sys; return sys.path").value
    assert not any("site-packages" in entry or "headprint" in entry for entry in path)


def test_output_is_bounded_and_no_outcome_can_be_forged_into_a_crash_here() -> None:
    flood = attempt("import os\nwhile True: os.write(1, b'x' * 10**6)", timeout=2)
    assert flood.error is not None
    forged = attempt('import os\nos.write(1, b\'{"error": [1], "message": {}}\'); os._exit(0)')
    assert forged.error is not None
    nested = attempt("import os\nos.write(1, b'[' * 60000); os._exit(0)")
    assert nested.error == "crash"
    # A process may say that its call returned this or that: no more than it could by returning it.
    assert attempt('import os\nos.write(1, b\'{"value": 3, "seccomp": true}\'); os._exit(0)').value == 3


def test_nothing_is_left_behind(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run("solution = lambda: 1")
    attempt("while True: pass", timeout=0.3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not LINUX, reason="seccomp is Linux's")
def test_the_kernel_alone_refuses_files_network_and_processes(tmp_path) -> None:
    script = f"""
import os, socket, sys, threading
sys.path.insert(0, {str(Path(runner.__file__).parent)!r})
import child
assert child.lock()
def tried(name, function):
    try:
        function()
    except (OSError, RuntimeError) as error:
        os.write(1, f"{{name}}: {{type(error).__name__}}\\n".encode())
    else:
        os.write(1, f"{{name}}: DONE\\n".encode())
tried("open", lambda: os.open("/etc/passwd", os.O_RDONLY))
tried("create", lambda: os.open({str(tmp_path / "pwned")!r}, os.O_CREAT | os.O_WRONLY))
tried("socket", socket.socket)
tried("fork", os.fork)
tried("exec", lambda: os.execv("/bin/true", ["true"]))
tried("kill", lambda: os.kill(os.getpid(), 9))
tried("chdir", lambda: os.chdir("/"))
tried("unlink", lambda: os.unlink("/etc/passwd"))
tried("thread", threading.Thread(target=print).start)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    lines = dict(line.split(": ") for line in done.stdout.splitlines())
    assert list(lines) == ["open", "create", "socket", "fork", "exec", "kill", "chdir", "unlink", "thread"], done
    assert lines.pop("thread") == "RuntimeError"
    assert set(lines.values()) == {"PermissionError"}
    assert not (tmp_path / "pwned").exists()
