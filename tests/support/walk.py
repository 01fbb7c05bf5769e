"""Every causal language model architecture against the materialised oracle: one row of the coverage table each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from headprint.measure.verification import verify
from support.numerics import float64_throughout
from support.toy_models import toy_model

EXACT, REFUSED, NO_HEADS, NOT_BUILT = "exact", "refused", "no softmax attention", "not built"

CANNOT_BUILD = {
    "gemma3n": "its vision tower needs timm; gemma3n_text is the same text model",
    "gemma4_assistant": "transformers refuses every config of it; a draft head that reads another model's keys",
    "gemma4_unified_assistant": "transformers refuses every config of it; a draft head that reads another model's keys",
}
"""Families that transformers 5.23 cannot build from a config here, and why."""

NO_FLOAT64 = {
    "xglm": "its mask is made of the largest float64, which it then turns into a float32",
}
"""Exact families whose own code does not run in float64, and why; their float32 errors are checked like all others'."""

NOTES = {
    "blt": "the middle rows read patches of bytes",
    "hrm_text": "two stacks, each used in many cycles: levels are summed over the cycles that the model differentiates",
    "longcat_flash": "two rows per layer",
    "mllama": "cross-attention to images is not measured",
    "musicgen": "with one codebook",
    "musicgen_melody": "with one codebook",
}
"""Reservations that a reader wants to know."""


@dataclass(frozen=True)
class Row:
    """What was found out about one family.

    Attributes:
        family: ``model_type``.
        model_class: What ``AutoModelForCausalLM`` builds for it.
        status: ``"exact"``, ``"refused"``, ``"no softmax attention"`` or ``"not built"``.
        kernel: The attention kernel that transformers chose on a CPU.
        float32: Error within one kernel.
        across: Error of that kernel on a padded batch against eager attention on single rows, float32.
        float64: The larger of both errors in a float64 model, computed in float64 throughout; None where it does not
            run.
        note: Why not, or where with a reservation.
    """

    family: str
    model_class: str
    status: str
    kernel: str = ""
    float32: float | None = None
    across: float | None = None
    float64: float | None = None
    note: str = ""


def examine(family: str, *, float64: bool = True) -> Row:
    """Build one family at toy size and verify it in float32 and float64."""
    name = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[family]
    try:
        model = toy_model(family, attention=None)
    except Exception as error:
        return Row(family, name, NOT_BUILT, note=CANNOT_BUILD.get(family, " ".join(str(error).split())))
    single = verify(model)
    if not single.exact:
        status = NO_HEADS if "has no softmax attention heads" in single.reason else REFUSED
        return Row(family, name, status, single.kernel, note=single.reason)
    notes = []
    if single.absent:
        notes.append("no heads: " + ", ".join(sorted({reason.split(":")[0] for reason in single.absent.values()})))
    double = None
    if family in NO_FLOAT64:
        notes.append(f"not in float64: {NO_FLOAT64[family]}")
    elif float64:
        double = _error_in_float64(family)
    if family in NOTES:
        notes.append(NOTES[family])
    return Row(
        family,
        name,
        EXACT,
        single.kernel,
        single.error_within_kernel,
        single.error_across_kernels,
        double,
        "; ".join(notes),
    )


def _error_in_float64(family: str) -> float | None:
    """Error of a float64 model, on single rows within eager attention or of the default kernel on a padded batch."""
    with float64_throughout():
        found = verify(toy_model(family, attention=None, dtype=torch.float64))
    errors = (found.error_within_kernel, found.error_across_kernels, found.error_in_batch)
    return max((error for error in errors if error is not None), default=None)
