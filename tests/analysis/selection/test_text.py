"""Selectors that compare words, against plain loops."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter

import numpy as np
import pytest

from headprint.analysis.selection import SelectionInputs, score
from headprint.analysis.selection.rows import text_of
from headprint.base.errors import InputError
from support.pattern_sets import around, random_pattern
from support.toy_rows import text_rows

TARGET, POOL = text_rows(4, seed=1), text_rows(25, seed=2)


def words(row):
    return re.findall(r"\b\w\w+\b", text_of(row).lower())


def scores(method, target=TARGET, pool=POOL, **more):
    query = around(random_pattern(0), len(target), ids=[str(row["id"]) for row in target])
    levels = around(random_pattern(1), len(pool), ids=[str(row["id"]) for row in pool])
    return score(SelectionInputs(query, levels, query_rows=target, pool_rows=pool, **more), method).values


def test_bm25():
    documents = [Counter(words(row)) for row in POOL]
    stop = {"the", "in", "a"}  # of bm25s, those that occur here

    def plain(query, document):
        total = 0.0
        for word in query:
            holders = sum(word in each for each in documents)
            idf = math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
            norm = 1.5 * (1 - 0.75 + 0.75 * length(document) / average)
            total += idf * document[word] / (document[word] + norm)
        return total

    documents = [Counter({w: n for w, n in each.items() if w not in stop}) for each in documents]
    length = lambda document: sum(document.values())  # noqa: E731
    average = sum(map(length, documents)) / len(documents)
    expected = [[plain([w for w in words(row) if w not in stop], each) for each in documents] for row in TARGET]
    assert scores("bm25") == pytest.approx(np.array(expected), rel=1e-4)


def test_tf_idf():
    n = len(POOL)
    holders = Counter(word for row in POOL for word in set(words(row)))

    def vector(row):
        counts = Counter(word for word in words(row) if word in holders)
        found = {word: count * (math.log((1 + n) / (1 + holders[word])) + 1) for word, count in counts.items()}
        length = math.sqrt(sum(x * x for x in found.values()))
        return {word: x / length for word, x in found.items()}

    expected = [[sum(x * vector(b).get(w, 0) for w, x in vector(a).items()) for b in POOL] for a in TARGET]
    assert scores("tf-idf") == pytest.approx(np.array(expected), abs=1e-5)


def test_token_overlap():
    expected = [
        [len(a & b) / len(a | b) for b in (set(words(row)) for row in POOL)]
        for a in (set(words(row)) for row in TARGET)
    ]
    assert scores("token-overlap") == pytest.approx(np.array(expected), abs=1e-6)


def test_embeddings(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import BoW

    vocabulary = ["basket", "seven", "items", "score"]
    SentenceTransformer(modules=[BoW(vocabulary)], device="cpu").save(str(tmp_path / "bow"))
    counts = [
        np.array([[text_of(row).lower().split().count(word) for word in vocabulary] for row in rows], float)
        for rows in (TARGET, POOL)
    ]
    lengths = [np.linalg.norm(each, axis=1) for each in counts]
    with np.errstate(invalid="ignore"):
        expected = counts[0] @ counts[1].T / np.outer(*lengths)
    assert scores("embeddings", embedding_model=str(tmp_path / "bow")) == pytest.approx(expected, abs=1e-5, nan_ok=True)
    with pytest.raises(InputError, match=r"cannot load the embedding model .*: name another \(--embedding-model\)"):
        scores("embeddings", embedding_model=str(tmp_path / "none"))


def test_the_text_of_a_row():
    assert text_of({"prompt": "a", "completion": "b", "id": "c"}) == "a\nb"
    assert text_of({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": None}]}) == "a"
    with pytest.raises(InputError, match="a row has only id, input_ids: choose another"):
        text_of({"id": "c", "input_ids": [1]})


def test_a_missing_library_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(InputError, match=r"pip install '\.\[select\]'"):
        scores("bm25")
