"""Made-up rows in the columns of the paper's data sets as they are on the hub."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]

NAMES = ["Ada", "Ben", "Cleo", "Dov", "Edda", "Finn"]
THINGS = ["nut", "shell", "bead", "cork", "pin", "reed"]


def _sum(rng: random.Random) -> tuple[str, int, int, int]:
    a, b = rng.randrange(2, 50), rng.randrange(2, 50)
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    return f"{name} has {a} {thing}s and finds {b}. How many?", a, b, a + b


def gsm8k(rng: random.Random) -> Row:
    question, a, b, total = _sum(rng)
    return {"question": question, "answer": f"{a}+{b}=<<{a}+{b}={total}>>{total}.\n#### {total}"}


def math(rng: random.Random) -> Row:
    question, a, b, total = _sum(rng)
    solution = f"We add: ${a}+{b}=\\boxed{{{total}}}$."
    return {"problem": question, "level": "Level 1", "type": "Prealgebra", "solution": solution}


def codesearchnet(rng: random.Random) -> Row:
    number, thing = rng.randrange(1000), rng.choice(THINGS)
    doc = f"Adds {number} to the count of {thing}s."
    code = f'def add_{thing}(n):\n    """{doc}"""\n    return n + {number}'
    return {
        "repository_name": "made/up",
        "func_path_in_repository": "a.py",
        "func_name": f"add_{thing}",
        "whole_func_string": code,
        "language": "python",
        "func_code_string": code,
        "func_code_tokens": code.split(),
        "func_documentation_string": doc,
        "func_documentation_tokens": doc.split(),
        "split_name": "train",
        "func_code_url": "",
    }


def arc(rng: random.Random) -> Row:
    texts = rng.sample(THINGS, 4)
    labels = rng.choice((list("ABCD"), list("1234")))  # both are found there
    right = rng.randrange(4)
    question = f"{rng.choice(NAMES)} {rng.randrange(100)} wants a {texts[right]}. What is it?"
    return {
        "id": f"Made_{rng.randrange(10**6)}",
        "question": question,
        "choices": {"text": texts, "label": labels},
        "answerKey": labels[right],
    }


def hellaswag(rng: random.Random) -> Row:
    start = f"{rng.choice(NAMES)} takes {rng.randrange(100)} {rng.choice(THINGS)}s"
    return {
        "ind": rng.randrange(10**6),
        "activity_label": "Gathering",
        "ctx_a": start,
        "ctx_b": "",
        "ctx": start,
        "endings": [f"and {verb} them." for verb in ("drops", "paints", "counts", "sells")],
        "source_id": "made~up",
        "split": "train",
        "split_type": "indomain",
        "label": str(rng.randrange(4)) if rng.random() < 0.9 else "",
    }


def winogrande(rng: random.Random) -> Row:
    one, two = rng.sample(NAMES, 2)
    sentence = f"{one} gave {two} {rng.randrange(100)} {rng.choice(THINGS)}s because _ asked."
    return {"sentence": sentence, "option1": one, "option2": two, "answer": rng.choice(("1", "2", ""))}


def sgsm(rng: random.Random) -> Row:
    question, a, b, total = _sum(rng)
    return {
        "question": question,
        "solution": f"def solution():\n    return {a} + {b}\n",
        "answer": str(float(total)),
        "subset": rng.choice(("sgsm_train", "sgsm_unannotated")),
    }


def mathbench(rng: random.Random) -> Row:
    question, _, _, total = _sum(rng)
    options = [str(total + k) for k in rng.sample(range(-2, 3), 4)]
    return {"question": question, "options": options, "answer": rng.choice("ABCD"), "topic": "Arithmetic"}


def infinity(rng: random.Random) -> Row:
    question, a, b, total = _sum(rng)
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": f"{a} and {b} are {total}."}]
    label = {"ability_en": [rng.choice(("math calculation", "logical reasoning"))], "cate_ability_en": ["math"]}
    return {
        "id": rng.randrange(10**6),
        "conversations": turns * rng.choice((1, 1, 1, 2)),
        "label": label if rng.random() < 0.9 else None,
        "langdetect": rng.choice(("en", "en", "en", "zh-cn")),
        "source": "made up",
    }


SCHEMAS: dict[str, Callable[[random.Random], Row]] = {
    "openai/gsm8k:main": gsm8k,
    "DigitalLearningGmbH/MATH-lighteval": math,
    "code-search-net/code_search_net:python": codesearchnet,
    "allenai/ai2_arc:ARC-Challenge": arc,
    "Rowan/hellaswag": hellaswag,
    "allenai/winogrande:winogrande_xl": winogrande,
    "bryanchrist/SGSM": sgsm,
    "mathbench.jsonl": mathbench,
    "BAAI/Infinity-Instruct:0625": infinity,
}
"""By hub id (MathBench: by file)."""


def rows(source: str, split: str, n: int) -> list[Row]:
    """The same rows each time; those of two splits differ."""
    rng = random.Random(f"{source} {split}")
    return [SCHEMAS[source](rng) for _ in range(n)]
