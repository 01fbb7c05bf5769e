"""Messages that other libraries print unasked about what headprint never uses. Imports nothing heavy."""

from __future__ import annotations

import logging

_CPU_KERNELS = logging.getLogger("bitsandbytes.backends.cpu.ops")
_MISSING_KERNEL = "Failed to load CPU gemm_4bit_forward"


def silence_imports() -> None:
    """Drop what bitsandbytes, which PEFT imports, says where it finds no fast 4-bit kernel for a CPU.

    It says so as soon as it is imported, whether or not a model has 4-bit weights; these work without the kernel.
    """
    _CPU_KERNELS.addFilter(_is_wanted)  # a second time adds nothing


def _is_wanted(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_MISSING_KERNEL)
