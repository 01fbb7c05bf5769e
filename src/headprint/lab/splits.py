"""Which items are for training and which are for testing, across all tasks."""

import hashlib
from typing import Literal

Split = Literal["train", "test"]
"""Which items of a task: the two splits share none."""

TEST_SHARE = 0.2


def split_of(key: str) -> Split:
    """Return the split that an item belongs to: by a hash of its key, so that all seeds and tasks agree."""
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32
    return "test" if share < TEST_SHARE else "train"
