"""A study's fields: unknown ones, wrong ones, and the bounds of every number."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
import yaml

from headprint.base.errors import InputError
from headprint.study.config import StudyConfig, load, parse
from support.tiny_study import TINY, changed, tiny


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sead", [0], "sead: there is no such field; did you mean 'seeds'"),
        ("models.lab.modell", "x", r"models\.lab\.modell: there is no such field; did you mean 'model'"),
        ("tasks.math.promt", "x", r"tasks\.math\.promt: there is no such field; did you mean 'prompt'"),
        ("sizes.trian", 3, r"sizes\.trian: .* did you mean 'train'"),
        ("fits.draw", 3, r"fits\.draw: .* did you mean 'draws'"),
        ("mixtures.row", 3, r"mixtures\.row: .* did you mean 'rows'"),
        ("selections.pool.splitt", "x", r"selections\.pool\.splitt: there is no such field"),
        ("selections.metods", [], r"selections\.metods: .* did you mean 'methods'"),
        ("ablations.radnom", 3, r"ablations\.radnom: .* did you mean 'random'"),
        ("models", ..., "models is missing"),
        ("tasks.math.data", ..., r"tasks\.math\.data is missing"),
        ("mixtures.targets", ..., r"mixtures\.targets is missing"),
        ("sizes.train", "many", r"sizes\.train is 'many': "),
        ("seeds", "all", "seeds is 'all': "),
        ("track", "often", "track"),
        ("tasks.math.kind", "easy", r"tasks\.math\.kind is 'easy': input should be 'basic' or 'complex'"),
        ("mixtures.arms", ["mixtur"], r"mixtures\.arms\.0 is 'mixtur': "),
        ("fits.targets", ["mathcode"], r"fits\.targets: there is no task 'mathcode'; did you mean 'math_code'"),
        ("mixtures.targets", ["poetry"], r"mixtures\.targets: there is no task 'poetry'; choose from math, code"),
        ("selections.targets", ["maths"], r"selections\.targets: there is no task 'maths'; did you mean 'math'"),
        ("ablations.tasks", ["cod"], r"ablations\.tasks: there is no task 'cod'; did you mean 'code'"),
        ("tasks.math_code.parts", ["maths"], r"tasks\.math_code\.parts: there is no task 'maths'"),
        ("fits.basis", ["math", "math_code"], "cannot be composed of itself"),
        ("mixtures.targets", ["math"], "cannot be composed of itself"),
        ("seeds", [], r"seeds is \[\]: list should have at least 1 item"),
        ("models", {}, r"models is \{\}: .* at least 1 item"),
        ("tasks", {"../math": {"data": "x"}}, r"tasks\.\.\./math"),
        ("seeds", [0, 1, 0], "0 is there twice"),
        ("mixtures.arms", ["mixture", "mixture"], "'mixture' is there twice"),
        ("selections.methods", ["hed-gradient"], "there is no method 'hed-gradient'; did you mean 'head-gradient'"),
        ("selections.methods", ["raw-cosin"], "there is no method 'raw-cosin'"),
        (
            "selections.rows",
            5,
            "5 rows of a pool of 100 leave little to choose: take 4 at most, or set pool_rows to 125",
        ),
        ("selections.skills", {"poetry": ["rhyme"]}, r"selections\.skills: there is no task 'poetry'"),
        ("mixtures.first", {"max_steps": 3}, r"mixtures\.first\.max_steps: step 1 is one pass over its rows"),
        ("sft.warmup_steps", 2, "warmup_steps is 2, too long for the 5 steps of step 1: give the share 0.1, or less"),
        ("scarce_sft", {"warmup_steps": 0.2}, "warmup_steps is 0.2, too long for the 4 steps of step 2 on math_code"),
    ],
)
def test_a_wrong_field_is_told(path: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as told:
        parse(changed(path, value), where="my.yaml")
    assert str(told.value).startswith("my.yaml: ")
    assert "\n" not in str(told.value)


def test_a_mixture_wants_basic_tasks() -> None:
    content = changed("ablations", None) | {"selections": None}
    content["tasks"] = {"math_code": {"kind": "complex", "data": "lab:math_code"}}
    with pytest.raises(InputError, match="mixtures: there is no basic task to mix"):
        parse(content)


def test_named_parts_are_of_the_basis() -> None:
    content = changed("mixtures.arms", ["named"])
    assert parse(content)
    content["fits"]["basis"] = ["math", "arith"]
    with pytest.raises(InputError, match=r"tasks\.math_code\.parts: code is not of the basis"):
        parse(content)


def test_a_config_comes_back_from_plain_types() -> None:
    for config in (parse(TINY), load("lab"), load("paper")):
        assert parse(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config


def numbers(kind: Any, place: str = "") -> dict[str, Any]:
    """Every field that takes a number, by its place in the tiny config: its type."""
    found = {}
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        where = f"{place}{field.name}"
        if not place and field.name in ("models", "tasks"):
            name = "lab" if field.name == "models" else "math"
            found |= numbers(get_args(get_args(hints[field.name])[0])[1], f"{where}.{name}.")
        elif get_origin(hints[field.name]) is dict:
            continue  # of types that are looked at elsewhere
        elif inner := next(
            (
                each
                for each in (hints[field.name], *get_args(hints[field.name]))
                if isinstance(each, type) and is_dataclass(each)
            ),
            None,
        ):
            found |= numbers(inner, f"{where}.")
        elif takes_int(hints[field.name]):
            found[where] = hints[field.name]
    return found


def takes_int(hint: Any) -> bool:
    if get_origin(hint) in (Annotated, Union, types.UnionType, list):
        return any(takes_int(each) for each in get_args(hint))
    return hint is int


NUMBERS = numbers(StudyConfig)
ZERO_IS_NONE = {"sizes.reserve", "fits.permutations", "ablations.random", "ablations.layer_matched", "track"}
ZERO_IS_NONE |= {place for place in NUMBERS if place.endswith("seeds")}
LISTS = {"seeds", "ablations.ks", *(place for place in NUMBERS if place.endswith("seeds"))}


def test_every_number_of_a_config_is_known() -> None:
    assert {"sizes.train", "tasks.math.train", "selections.pool_rows", "selections.pool.train", "track"} <= set(NUMBERS)
    assert len(NUMBERS) == 42


@pytest.mark.parametrize("wrong", [-1, -5, 1.5, True, "3", 10**12, float("nan"), float("inf"), [[]]])
@pytest.mark.parametrize("place", NUMBERS)
def test_a_number_out_of_bounds_is_refused(place: str, wrong: Any) -> None:
    given = [wrong] if place in LISTS else wrong
    with pytest.raises(InputError, match=place.replace(".", r"\.")) as error:
        parse(changed(place, given))
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("place", NUMBERS)
def test_zero_is_taken_where_it_means_none(place: str) -> None:
    given = [0] if place in LISTS or place == "track" else 0
    if place in ZERO_IS_NONE:
        parse(changed(place, given))
    else:
        with pytest.raises(InputError, match="greater than or equal to 1"):
            parse(changed(place, given))


def test_a_block_is_found_by_its_type() -> None:
    from headprint.study.config import Ablations, Fits

    config = tiny()
    assert config.block(Fits) is config.fits
    assert tiny(ablations=None).block(Ablations) is None


def test_settings_of_sft_are_merged_in_one_order() -> None:
    content = changed("scarce_sft", {"max_steps": 2, "lr_scheduler_type": "constant"})
    content["models"]["lab"]["sft"] = {"lr_scheduler_type": "linear"}
    config = parse(content)
    assert config.sft_for("lab", "math") == TINY["sft"] | {"lr_scheduler_type": "linear"}
    assert config.sft_for("lab", "math_code") == TINY["sft"] | {"max_steps": 2, "lr_scheduler_type": "linear"}
    step_1 = config.sft_for("lab", step_1={"lr_scheduler_type": "cosine"})
    assert step_1 == TINY["sft"] | {"lr_scheduler_type": "cosine"}
