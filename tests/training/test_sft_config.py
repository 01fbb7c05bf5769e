"""Settings of a fine-tune: what is accepted, and the one line that a mistake gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from trl import SFTConfig

from headprint.base.errors import InputError
from headprint.training.sft_config import DEFAULTS, check_fields, lora_config, loss_on, resolve, sft_config


def test_our_defaults_are_fields_of_trls_and_hold_on_this_machine() -> None:
    config = sft_config(resolve({}), Path("x"))
    for name, value in DEFAULTS.items():
        assert getattr(config, name) == ([] if name == "report_to" else value)
    if not torch.cuda.is_available():
        assert config.use_cpu
        assert not config.bf16
    assert config.output_dir == "x"
    assert config.dataset_kwargs == {"skip_prepare_dataset": True}


def test_what_is_given_wins_and_what_trl_still_has_to_do_is_left_to_it() -> None:
    given = {"save_steps": 7, "report_to": ["tensorboard"], "seed": 1, "packing": True, "lr_scheduler_type": "constant"}
    settings = resolve(given)
    assert settings.items() >= given.items()
    assert settings["save_strategy"] == "steps"
    assert sft_config({**settings, "report_to": "none"}, Path("x")).dataset_kwargs == {"skip_prepare_dataset": False}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"learning_rate": "5e-3"}, {"learning_rate": 5e-3}),  # as YAML 1.1 reads it
        ({"learning_rate": 1}, {"learning_rate": 1}),
        ({"max_length": None}, {"max_length": None}),
        ({"max_grad_norm": 0.5, "optim": "sgd"}, {"max_grad_norm": 0.5, "optim": "sgd"}),
        ({"lr_scheduler_kwargs": {"num_cycles": 2}}, {"lr_scheduler_kwargs": {"num_cycles": 2}}),
        ({"bf16": None, "packing": False}, {"bf16": None, "packing": False}),
    ],
)
def test_values(given, expected) -> None:
    assert check_fields(SFTConfig, given) == expected


WRONG = {
    "no such field": ({"learning_rat": 1e-3}, "SFTConfig has no field 'learning_rat': did you mean 'learning_rate'?"),
    "nothing near": ({"qqq": 1}, "SFTConfig has no field 'qqq': see the documentation of SFTConfig"),
    "text": ({"learning_rate": "fast"}, "SFTConfig: learning_rate is 'fast'; it wants float"),
    "fraction": ({"num_train_epochs": True}, "SFTConfig: num_train_epochs is True; it wants float"),
    "half a row": ({"per_device_train_batch_size": 2.5}, "per_device_train_batch_size is 2.5; it wants int"),
    "number for switch": ({"packing": 1}, "SFTConfig: packing is 1; it wants bool"),
    "alternatives": ({"max_length": "long"}, "SFTConfig: max_length is 'long'; it wants int or null"),
    "ours": ({"output_dir": "x"}, "output_dir is not for SFTConfig here: give it as out"),
    "loading": ({"model_init_kwargs": {"dtype": "float16"}}, "give dtype, attn_implementation"),
    "template": ({"chat_template_path": "x.jinja"}, "set the tokenizer's chat_template"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_mistakes_are_named(wrong) -> None:
    given, message = WRONG[wrong]
    with pytest.raises(InputError) as error:
        resolve(given)
    assert message in str(error.value)


def test_what_trl_refuses_is_one_line() -> None:
    with pytest.raises(InputError, match=r"SFTConfig: .*quadratic") as error:
        sft_config(resolve({"lr_scheduler_type": "quadratic"}), Path("x"))
    assert "\n" not in str(error.value)


def test_lora() -> None:
    config = lora_config({})
    assert (config.target_modules, config.task_type, config.r) == ("all-linear", "CAUSAL_LM", LoraConfig().r)
    assert lora_config({"target_modules": ["q_proj"], "r": 3}).target_modules == {"q_proj"}
    with pytest.raises(InputError, match="LoraConfig has no field 'rank'"):
        lora_config({"rank": 4})
    with pytest.raises(InputError, match="LoraConfig: r is 'big'; it wants int"):
        lora_config({"r": "big"})


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({}, "auto"),
        ({"completion_only_loss": True}, "completion"),
        ({"completion_only_loss": False}, "all"),
        ({"assistant_only_loss": True}, "assistant"),
        ({"assistant_only_loss": True, "completion_only_loss": True}, "assistant"),
        ({"assistant_only_loss": False}, "all"),
        ({"completion_only_loss": None}, "auto"),
    ],
)
def test_where_the_loss_is(given, where) -> None:
    assert loss_on(given) == where


def test_settings_of_a_fine_tune_raise_no_warning(tmp_path, recwarn) -> None:
    for settings in ({}, {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}):
        config = sft_config(resolve(settings), tmp_path)
        assert config.gradient_checkpointing is bool(settings)
        assert config.gradient_checkpointing_kwargs == settings.get("gradient_checkpointing_kwargs")
    assert not [warning for warning in recwarn if issubclass(warning.category, FutureWarning)]
