"""The directory of one training run: what it was told, checked before a model is loaded, and what came of it.

config.yaml     everything to replay it: headprint train --config OUT/config.yaml --out AGAIN
data.jsonl      the rows, if they were given in memory (eval.jsonl and probes/NAME.jsonl likewise)
checkpoints/    of the trainer, if asked for
tracking/       pattern sets along training, if asked for
model/          the trained model or its adapter, with the tokenizer
trained.json    steps, rows and tokens seen, the log; there only once the run is finished
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from headprint import models
from headprint.base.errors import InputError
from headprint.base.files import write_atomically
from headprint.data import Source, rows
from headprint.models.heads import unwrap

CONFIG, RESULT, MODEL, CHECKPOINTS, TRACKING = "config.yaml", "trained.json", "model", "checkpoints", "tracking"
FORMAT = "headprint train 1"
ARGUMENTS = (
    *("model", "data", "eval_data", "split", "limit", "dtype", "attn_implementation", "trust_remote_code"),
    *("sft", "lora", "track"),
)
"""What a configuration says of a training; the arguments of :func:`headprint.training.fine_tuning.train`."""

_ABOUT = ("format", "data_sha256", "versions")
_NOT_COMPARED = ("versions",)


class Home:
    """A run's directory.

    Args:
        out: The directory; it need not exist.
    """

    def __init__(self, out: str | Path) -> None:
        self.out = Path(out)

    @property
    def finished(self) -> dict[str, Any] | None:
        """The content of ``trained.json``, once there is one."""
        path = self.out / RESULT
        return json.loads(path.read_text("utf-8")) if path.is_file() else None

    def check(self, config: Mapping[str, Any], *, resume: bool) -> None:
        """Refuse a directory that holds something else, or a run that is not to be resumed as it was begun.

        Args:
            config: Plain values.
            resume: Whether a run may be there.

        Raises:
            InputError: Names what is there, or each setting that differs.
        """
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"{self.out} is a file: choose a directory (--out)")
        there = sorted(path.name for path in self.out.iterdir()) if self.out.is_dir() else []
        if not there:
            return
        if CONFIG not in there:
            raise InputError(f"{self.out} holds other files ({there[0]}): choose an empty or new directory (--out)")
        begun = read_config(self.out / CONFIG)
        if not resume:
            raise InputError(
                f"{self.out} holds a {'finished' if RESULT in there else 'stopped'} run: resume it (--resume), or "
                "choose another directory (--out)"
            )
        _check_same(self.out, begun, _plain(config))

    def begin(self, config: Mapping[str, Any], sources: Mapping[str, Source]) -> None:
        """Write the configuration, unless it is there.

        Args:
            config: Plain values.
            sources: Rows in memory by the name of the file that they are kept in.

        Raises:
            InputError: The directory cannot be written to.
        """
        if (self.out / CONFIG).is_file():
            return
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            for name, source in sources.items():
                (self.out / name).parent.mkdir(exist_ok=True)
                text = "".join(f"{json.dumps(row.data, ensure_ascii=False)}\n" for row in rows.read_rows(source))
                write_atomically(self.out / name, text.encode())
        except OSError as error:
            raise InputError(f"cannot write to {self.out}: {error.strerror or error}") from error
        text = yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True)
        write_atomically(self.out / CONFIG, text.encode())

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that was written to its end."""
        found = (self.out / CHECKPOINTS).glob("checkpoint-*/trainer_state.json")
        numbered = sorted((int(path.parent.name.rpartition("-")[2]), path.parent) for path in found if _is_json(path))
        return numbered[-1][1] if numbered else None

    def end(self, result: Mapping[str, Any]) -> None:
        """Write the result; the run is finished."""
        text = json.dumps(_finite(result), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(self.out / RESULT, f"{text}\n".encode())


def named(model: str | Path | nn.Module) -> str:
    """How the configuration names the model: a directory made absolute, an id, or the weights in memory."""
    if isinstance(model, nn.Module):
        return f"{type(unwrap(model)).__name__} in memory, weights {models.fingerprint(model)}"
    path = Path(model).expanduser()
    return str(path.resolve()) if path.is_dir() and model not in models.MODELS else str(model)


def kept(source: Source, name: str, sources: dict[str, Source]) -> str:
    """How the configuration names a source: a path, made absolute; an id; or the file that rows in memory go to.

    Args:
        source: As :func:`headprint.data.rows.read_rows`.
        name: Of the file in the run's directory.
        sources: Gets the rows in memory.
    """
    if isinstance(source, str | PathLike):
        path = Path(source).expanduser()
        return str(path.resolve()) if path.exists() else str(source)
    sources[name] = source
    return name


def arguments(path: Path) -> dict[str, Any]:
    """The arguments of :func:`headprint.train` that a configuration names; data files beside it are found.

    Raises:
        InputError: As :func:`read_config`; or there is an entry that a training does not have.
    """
    config = read_config(path)
    for name in config:
        if name not in (*ARGUMENTS, *_ABOUT):
            close = get_close_matches(name, ARGUMENTS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(ARGUMENTS)}"
            raise InputError(f"{path}: no training has a {name!r}: {hint}")
    found = {name: config[name] for name in ARGUMENTS if config.get(name) is not None}

    def beside(source: Any) -> Any:
        here = path.parent / str(source)
        return str(here) if here.is_file() else source

    found |= {name: beside(found[name]) for name in ("data", "eval_data") if name in found}
    probes = found.get("track", {}).get("probes")
    if isinstance(probes, dict):
        found["track"] = {**found["track"], "probes": {name: beside(source) for name, source in probes.items()}}
    return found


def kept_track(track: Mapping[str, Any], sources: dict[str, Source]) -> dict[str, Any]:
    """The tracker's arguments, with its probes named as the data are."""
    probes = track.get("probes")
    if probes is None:
        return dict(track)
    named = probes if isinstance(probes, Mapping) else {"probe": probes}
    return {**track, "probes": {name: kept(source, f"probes/{name}.jsonl", sources) for name, source in named.items()}}


def read_config(path: Path) -> dict[str, Any]:
    """A configuration written by :meth:`Home.begin` or by hand, with data files beside it found.

    Raises:
        InputError: It is missing, broken, or no configuration of a training.
    """
    try:
        config = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{where}: broken YAML ({getattr(error, 'problem', error)})") from error
    if not isinstance(config, dict) or config.get("format", FORMAT) != FORMAT:
        raise InputError(f"{path} is not the configuration of a training by headprint")
    return config


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """As it reads back from YAML."""
    plain: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **config}))
    return plain


def _finite(value: Any) -> Any:
    """None for what is no finite number: a gradient norm that overflowed in half precision, say."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _check_same(out: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    old, new = (
        dict(_leaves({key: value for key, value in config.items() if key not in _NOT_COMPARED}))
        for config in (there, here)
    )
    differing = [
        f"{name} is {old.get(name, 'not set')} there and {new.get(name, 'not set')} here"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    if differing:
        raise InputError(f"{out} was begun with other settings: {'; '.join(differing)}: choose another directory")


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(value, sort_keys=True)
