"""The directory of one fine-tune: what it was begun with, what there is to resume from, and what came of it.

config.yaml     everything needed to replay it: headprint train --config OUT/config.yaml --out AGAIN
data.jsonl      the rows, if they were given in memory (eval.jsonl and probes/NAME.jsonl likewise)
checkpoints/    of the trainer, if asked for
tracking/       pattern sets along training, if asked for
model/          the trained model or its adapter, with the tokenizer
trained.json    steps, rows and tokens seen, the log; written last

Locks and resumption are those of every run (:mod:`headprint.base.run_directory`).
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from headprint import models
from headprint.base.errors import InputError, did_you_mean
from headprint.base.files import read_json, write_json_lines
from headprint.base.run_directory import RunKind
from headprint.data import Source, rows
from headprint.models.heads import unwrap

CONFIG, RESULT, MODEL, CHECKPOINTS, TRACKING = "config.yaml", "trained.json", "model", "checkpoints", "tracking"
UNFINISHED_MODEL = ".model.part"
"""Where the trained model is saved, to be renamed to :data:`MODEL` once it is whole."""

FORMAT = "headprint train 1"
ARGUMENTS = (
    *("model", "data", "eval_data", "split", "limit", "dtype", "attn_implementation", "trust_remote_code"),
    *("sft", "lora", "heads", "track"),
)
"""What a configuration says of a fine-tune; the arguments of :func:`headprint.training.fine_tuning.train`."""

_ABOUT = ("format", "data_sha256", "versions")
_NOT_COMPARED = ("format", "versions")

TRAINING_RUN = RunKind(
    name="fine-tune",
    record=CONFIG,
    read=lambda path: comparable(read_config(path)),
    progress=(f"{CHECKPOINTS}/checkpoint-*/trainer_state.json", f"{TRACKING}/*/*", MODEL),
    leftovers=(CHECKPOINTS, TRACKING, UNFINISHED_MODEL, "data.jsonl", "eval.jsonl", "probes"),
    result=RESULT,
)
"""What the directory of a fine-tune looks like to :class:`headprint.base.run_directory.RunDirectory`."""

_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)
_OS_ERROR = re.compile(r"\(os error (\d+)\)")  # as the Rust code of safetensors and tokenizers puts it


def comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for a run to be resumed, as it reads back from YAML."""
    plain: dict[str, Any] = json.loads(json.dumps(config))
    return {name: value for name, value in plain.items() if name not in _NOT_COMPARED}


def to_yaml(config: Mapping[str, Any]) -> bytes:
    """The content of ``config.yaml``."""
    plain = json.loads(json.dumps({"format": FORMAT, **config}))
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return text.encode()


def write_sources(out: Path, sources: Mapping[str, Source]) -> None:
    """Write the rows that were given in memory.

    Args:
        out: The run's directory.
        sources: Rows by the name of their file (:func:`source_name`).

    Raises:
        InputError: They cannot be written.
    """
    for name, source in sources.items():
        try:
            (out / name).parent.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to {out}: {error.strerror or error}") from error
        write_json_lines(out / name, (row.data for row in rows.read_rows(source)))


def read_result(out: Path) -> dict[str, Any] | None:
    """The content of ``trained.json``, once there is one."""
    return read_json(out / RESULT) if (out / RESULT).is_file() else None


def last_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint that was written completely."""
    found = (out / CHECKPOINTS).glob("checkpoint-*/trainer_state.json")  # which the trainer writes last
    numbered = sorted((int(path.parent.name.rpartition("-")[2]), path.parent) for path in found if _is_json(path))
    return numbered[-1][1] if numbered else None


def how_to_go_on(out: Path) -> str:
    """Say what an unfinished run has saved, and how to go on from there."""
    if checkpoint := last_checkpoint(out):
        return f"{checkpoint.name} is complete: the same command with --resume goes on from there"
    tracked = "its pattern sets are kept, but " if any((out / TRACKING).glob("*/*")) else ""
    again = "the same command with --resume" if tracked else "the same command"
    return f"{tracked}there is no checkpoint (--set save_steps=N writes them): {again} starts from the beginning"


def write_error(error: BaseException, out: Path) -> InputError | None:
    """The one line for a disk that is full or not writable, whichever library found out; None for another error.

    Args:
        error: What the trainer raised while it trained or saved.
        out: The run's directory.
    """
    for cause in _causes(error):
        found = _OS_ERROR.search(str(cause))
        number = cause.errno if isinstance(cause, OSError) else int(found[1]) if found else None
        torch_failed = "PytorchStreamWriter failed" in str(cause)  # it does not say why
        if number in _WRITE_ERRORS or torch_failed:
            reason = os.strerror(number) if number in _WRITE_ERRORS and number else "a file could not be written"
            return InputError(f"cannot write to {out}: {reason}; {how_to_go_on(out)}, once that is fixed")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and the errors that led to it; those that say why come first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return reversed(chain)


def model_name(model: str | Path | nn.Module) -> str:
    """How a configuration names the model: a directory by its absolute path, an id, or the weights in memory."""
    if isinstance(model, nn.Module):
        return f"{type(unwrap(model)).__name__} in memory, weights {models.fingerprint(model)}"
    path = Path(model).expanduser()
    return str(path.resolve()) if path.is_dir() and model not in models.MODELS else str(model)


def source_name(source: Source, name: str, sources: dict[str, Source]) -> str:
    """How a configuration names a source: an absolute path, an id, or the file for rows in memory.

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


def track_names(track: Mapping[str, Any], sources: dict[str, Source]) -> dict[str, Any]:
    """The tracker's arguments as a configuration has them, with its probes named by :func:`source_name`."""
    probes = track.get("probes")
    if probes is None:
        return dict(track)
    named = probes if isinstance(probes, Mapping) else {"probe": probes}
    return {
        **track,
        "probes": {name: source_name(source, f"probes/{name}.jsonl", sources) for name, source in named.items()},
    }


def arguments(path: Path) -> dict[str, Any]:
    """The arguments of :func:`headprint.train` that a configuration names; relative paths are relative to its file.

    Raises:
        InputError: As :func:`read_config`; or there is an entry that a fine-tune does not have.
    """
    config = read_config(path)
    for name in config:
        if name not in (*ARGUMENTS, *_ABOUT):
            raise InputError(f"{path}: a fine-tune has no {name!r}: {did_you_mean(name, ARGUMENTS)}")
    found = {name: config[name] for name in ARGUMENTS if config.get(name) is not None}
    for name in ("model", "data", "eval_data"):
        if name in found:
            found[name] = _resolved(found[name], path)
    probes = found["track"].get("probes") if isinstance(found.get("track"), dict) else None
    if isinstance(probes, dict):
        found["track"] = {
            **found["track"],
            "probes": {name: _resolved(source, path) for name, source in probes.items()},
        }
    elif probes is not None:
        found["track"] = {**found["track"], "probes": _resolved(probes, path)}
    return found


def _resolved(name: Any, config: Path) -> Any:
    """A path in a configuration made absolute; a name that no path has, such as a hub id, as it is."""
    if not isinstance(name, str) or name in models.MODELS:
        return name
    path = config.absolute().parent / Path(name).expanduser()
    is_path = path.exists() or name.startswith((".", "~")) or name.endswith(rows.SUFFIXES)
    return str(path.resolve()) if is_path else name


def read_config(path: Path) -> dict[str, Any]:
    """A configuration, as a run wrote it or a person.

    Raises:
        InputError: It is missing, broken, or not the configuration of a fine-tune.
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
        raise InputError(f"{path} is not the configuration of a fine-tune by headprint")
    return config


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return True
