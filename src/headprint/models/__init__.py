"""Language models: loaded by name, described, measured against what they can read, and lent settings for one call.

:mod:`~headprint.models.loading` turns a name into a model and its tokenizer, :mod:`~headprint.models.properties` says
what a model is, :mod:`~headprint.models.heads` finds its attention heads, and :mod:`~headprint.models.contexts` lends
it settings (frozen weights, an attention kernel, a precision) for the length of a ``with`` block.
"""

from headprint.models.contexts import checkpointed, computing_in, frozen, using_kernel
from headprint.models.heads import HeadMap, HeadSite, UnsupportedModel, locate, unwrap
from headprint.models.loading import DTYPES, MODELS, load_model, load_tokenizer, resolve
from headprint.models.properties import Limits, describe, dtype_name, fingerprint, input_device, kernel, limits

__all__ = [
    "DTYPES",
    "MODELS",
    "HeadMap",
    "HeadSite",
    "Limits",
    "UnsupportedModel",
    "checkpointed",
    "computing_in",
    "describe",
    "dtype_name",
    "fingerprint",
    "frozen",
    "input_device",
    "kernel",
    "limits",
    "load_model",
    "load_tokenizer",
    "locate",
    "resolve",
    "unwrap",
    "using_kernel",
]
