"""A model on disk for the tests of this folder."""

from __future__ import annotations

import pytest

from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A toy model and a tokenizer on disk."""
    folder = tmp_path_factory.mktemp("model")
    toy_model("llama").save_pretrained(folder)
    toy_tokenizer().save_pretrained(folder)
    return folder
