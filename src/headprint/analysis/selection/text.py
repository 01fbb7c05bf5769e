"""Selectors that compare the words of rows, without a model of one's own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from headprint.analysis.selection import similarity
from headprint.analysis.selection.inputs import SelectionInputs
from headprint.analysis.selection.registry import Cost, selector
from headprint.analysis.selection.rows import text_of
from headprint.base.errors import InputError, missing_extra

if TYPE_CHECKING:
    from headprint.base.shapes import Values


@selector(needs="rows", cost=Cost())
def bm25(inputs: SelectionInputs) -> Values:
    """BM25 of a pool row as the document and a target row as the query (Robertson & Zaragoza 2009; Lucene's form)."""
    bm25s = _library("bm25s")

    target, pool = _texts(inputs)
    index = bm25s.BM25()
    index.index(bm25s.tokenize(pool, show_progress=False), show_progress=False)
    words = bm25s.tokenize(target, return_ids=False, show_progress=False)
    scores: Values = np.stack([index.get_scores(query) if query else np.zeros(len(pool)) for query in words])
    return scores


@selector(needs="rows", cost=Cost())
def tf_idf(inputs: SelectionInputs) -> Values:
    """Cosine of the angle between TF-IDF vectors; document frequencies are those of the pool."""
    words = _library("sklearn.feature_extraction.text")

    target, pool = _texts(inputs)
    vectorizer = words.TfidfVectorizer(dtype=np.float32)
    documents = vectorizer.fit_transform(pool)
    scores: Values = (vectorizer.transform(target) @ documents.T).toarray()  # of unit length
    return scores


@selector(needs="rows", cost=Cost())
def token_overlap(inputs: SelectionInputs) -> Values:
    """The words that two rows share, as a share of the words of either (Jaccard 1912)."""
    words = _library("sklearn.feature_extraction.text")

    target, pool = _texts(inputs)
    vectorizer = words.CountVectorizer(binary=True, dtype=np.float32).fit(target + pool)
    one, other = vectorizer.transform(target), vectorizer.transform(pool)
    shared = (one @ other.T).toarray()
    either = np.asarray(one.sum(axis=1)) + np.asarray(other.sum(axis=1)).T - shared
    scores: Values = shared / np.maximum(either, 1)
    return scores


@selector(needs="rows", cost=Cost())
def embeddings(inputs: SelectionInputs) -> Values:
    """Cosine of sentence embeddings, by a model of sentence-transformers (Reimers & Gurevych 2019)."""
    library = _library("sentence_transformers")
    target, pool = _texts(inputs)
    try:
        model = library.SentenceTransformer(inputs.embedding_model)
    except Exception as error:  # whatever the hub or the file raises
        reason = " ".join(str(error).split())
        raise InputError(
            f"cannot load the embedding model {inputs.embedding_model!r} ({reason}): name another (--embedding-model)"
        ) from error
    return similarity.cosine(*(model.encode(x, show_progress_bar=inputs.show_progress) for x in (target, pool)))


def _texts(inputs: SelectionInputs) -> tuple[list[str], list[str]]:
    """The texts of the target's rows and of the pool's."""
    return [text_of(row) for row in inputs.rows_of_query()], [text_of(row) for row in inputs.rows_of_pool()]


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise missing_extra("select", "this selection method") from error
