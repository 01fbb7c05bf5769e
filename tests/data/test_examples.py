"""Tokens and labels against TRL's own, and the rules of the stream."""

import copy
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from headprint.base.errors import InputError
from headprint.base.options import LossOn, Overlong
from headprint.data import Example, ExampleStream, Report, Row, chat, tokenize_row
from support.toy_tokenizers import FORGETFUL_CHAT, MARKED_CHAT, PLAIN_CHAT, Ends, toy_tokenizer

Row_ = dict[str, Any]
LETTERS = "aeiou nrst ANSWR 0123.,:#\n\t ößé日本🙂🙃\u0301\u200d</s>"


def say(*turns: str) -> list[dict[str, str]]:
    """A conversation, the user first."""
    return [{"role": ("user", "assistant")[n % 2], "content": t} for n, t in enumerate(turns)]


def random_text(rng: random.Random, longest: int = 40) -> str:
    return "".join(rng.choice(LETTERS) for _ in range(rng.randint(0, longest)))


def text_pairs() -> list[Row_]:
    rng = random.Random(1)
    rows = [
        {"prompt": "Question: How many eggs are left?\nAnswer:", "completion": " seven eggs"},
        {"prompt": "The answer", "completion": "ing machine"},  # tokens merge across the border
        {"prompt": "The answer: ", "completion": "There are seven"},
        {"prompt": "", "completion": "solution"},
        {"prompt": "The basket", "completion": ""},
        {"prompt": "It ends</s>", "completion": " itself</s>"},
        {"prompt": "Größe ", "completion": "🙂🙃東京"},
    ]
    return rows + [{"prompt": random_text(rng), "completion": random_text(rng)} for _ in range(60)]


def conversations() -> list[Row_]:
    rng = random.Random(2)
    rows = [
        {"messages": say("Hi", "There are seven eggs.")},
        {"messages": say("Hi", "🙂", "And the basket?", "left 東京")},
        {"messages": [{"role": "system", "content": "Be brief."}, *say("Hi", "so")]},
        {"messages": say("Hi", "so", "an open end")},
    ]
    return rows + [{"messages": say(*(random_text(rng) for _ in range(rng.randint(2, 6))))} for _ in range(30)]


def conversation_pairs() -> list[Row_]:
    return [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in conversations()] + [
        {"prompt": say("Hi", "one"), "completion": say("more", "two")}
    ]


def texts() -> list[Row_]:
    rng = random.Random(3)
    return [{"text": "ends</s>"}, *({"text": random_text(rng) + "."} for _ in range(20))]


def trl_examples(
    rows: list[Row_],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    *,
    max_length: int | None = None,
    **config: Any,
) -> list[tuple[list[int], list[int]]]:
    """What a real SFTTrainer would put before the model, row by row, through its collator."""
    trl = pytest.importorskip("trl")
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
        )
    )
    trainer = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(
            output_dir=str(folder),
            use_cpu=True,
            bf16=False,
            report_to="none",
            max_length=max_length,
            **config,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    batches = [trainer.data_collator([row]) for row in trainer.train_dataset]
    return [(b["input_ids"][0].tolist(), b["labels"][0].tolist()) for b in batches]


def assert_equals_trl(
    rows: list[Row_],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    *,
    loss_on: LossOn = "auto",
    max_length: int | None = None,
    **config: Any,
) -> None:
    theirs = trl_examples(rows, tokenizer, folder, max_length=max_length, **config)
    # TRL keeps rows that have nothing to predict when it does not cut; they add nothing to a loss.
    theirs = [(ids, labels) for ids, labels in theirs if any(x != -100 for x in labels[1:])]
    ours = list(ExampleStream(rows, tokenizer, loss_on=loss_on, max_length=max_length))
    assert [(example.input_ids, example.labels) for example in ours] == theirs
    assert len(ours) > 1


@pytest.mark.parametrize("ends", ["plain", "bos", "eos"])
class TestPlainTextEqualsTrl:
    @pytest.mark.parametrize("max_length", [None, 12])
    def test_prompt_completion(self, tmp_path: Path, ends: Ends, max_length: int | None) -> None:
        assert_equals_trl(text_pairs(), toy_tokenizer(ends), tmp_path, max_length=max_length)

    def test_loss_on_all(self, tmp_path: Path, ends: Ends) -> None:
        options: Row_ = {"loss_on": "all", "completion_only_loss": False}
        assert_equals_trl(text_pairs(), toy_tokenizer(ends), tmp_path, **options)

    def test_text(self, tmp_path: Path, ends: Ends) -> None:
        assert_equals_trl(texts(), toy_tokenizer(ends), tmp_path, max_length=9)


class TestConversationsEqualTrl:
    @pytest.mark.parametrize("template", [PLAIN_CHAT, MARKED_CHAT, FORGETFUL_CHAT])
    @pytest.mark.parametrize("max_length", [None, 24])
    def test_prompt_completion(self, tmp_path: Path, template: str, max_length: int | None) -> None:
        tokenizer = toy_tokenizer("bos", chat_template=template)
        assert_equals_trl(conversation_pairs(), tokenizer, tmp_path, max_length=max_length)

    @pytest.mark.parametrize("max_length", [None, 24])
    def test_marked_turns(self, tmp_path: Path, max_length: int | None) -> None:
        tokenizer = toy_tokenizer(chat_template=MARKED_CHAT)
        options: Row_ = {"max_length": max_length, "assistant_only_loss": True}
        assert_equals_trl(conversations(), tokenizer, tmp_path, **options)

    @pytest.mark.parametrize("name", ["llama3", "qwen2_5", "qwen3", "gemma3"])
    def test_turns_of_templates_that_trl_marks(self, tmp_path: Path, name: str) -> None:
        trl = pytest.importorskip("trl")
        template = Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja"
        tokenizer = toy_tokenizer("bos", chat_template=template.read_text("utf-8"))
        assert chat.training_template(tokenizer)[0] == "trl"
        options: Row_ = {"assistant_only_loss": True}
        assert_equals_trl(conversations(), tokenizer, tmp_path, **options)
        options["loss_on"] = "assistant"
        assert_equals_trl(conversation_pairs(), tokenizer, tmp_path, **options)

    @pytest.mark.parametrize("template", [PLAIN_CHAT, MARKED_CHAT])
    def test_loss_on_all(self, tmp_path: Path, template: str) -> None:
        tokenizer = toy_tokenizer(chat_template=template)
        assert_equals_trl(conversations(), tokenizer, tmp_path, loss_on="all")
        options: Row_ = {"loss_on": "all", "completion_only_loss": False}
        assert_equals_trl(conversation_pairs(), tokenizer, tmp_path, **options)

    def test_completion_and_assistant_together(self, tmp_path: Path) -> None:
        tokenizer = toy_tokenizer(chat_template=MARKED_CHAT)
        rows = [row for row in conversation_pairs() if row["completion"][-1]["role"] != "user"]
        options: Row_ = {"loss_on": "assistant", "assistant_only_loss": True}
        assert_equals_trl(rows, tokenizer, tmp_path, **options)

    def test_tools_and_template_arguments(self, tmp_path: Path) -> None:
        template = "{{ tools[0].name if tools else '-' }}{{ tone }}" + MARKED_CHAT
        tokenizer = toy_tokenizer(chat_template=template)
        extra = {"tools": '[{"name": "solution"}]', "chat_template_kwargs": {"tone": "naïve"}}
        rows = [row | extra for row in conversations()]
        assert_equals_trl(rows, tokenizer, tmp_path, assistant_only_loss=True)
        first = next(iter(ExampleStream(rows, tokenizer)))
        assert tokenizer.decode(first.input_ids).startswith("solutionnaïve")


class TestPrefixes:
    """Templates without markers that TRL does not know."""

    def test_equals_the_same_template_with_markers(self) -> None:
        plain = ExampleStream(conversations(), toy_tokenizer(chat_template=PLAIN_CHAT))
        marked = ExampleStream(conversations(), toy_tokenizer(chat_template=MARKED_CHAT))
        assert chat.training_template(plain.tokenizer)[0] == "prefix"
        assert chat.training_template(marked.tokenizer)[0] == "markers"
        assert list(plain) == list(marked)

    def test_a_turn_that_changes_later_is_refused(self) -> None:
        tokenizer = toy_tokenizer(chat_template=FORGETFUL_CHAT)
        assert list(ExampleStream([{"messages": say("Hi", "so")}], tokenizer))
        message = r"row 0: .* renders a turn differently .*loss_on='all'"
        with pytest.raises(InputError, match=message):
            list(ExampleStream([{"messages": say("Hi", "so", "and", "now")}], tokenizer))

    def test_the_assistant_first_is_refused(self) -> None:
        tokenizer = toy_tokenizer(chat_template=PLAIN_CHAT)
        with pytest.raises(InputError, match="speaks first"):
            list(ExampleStream([{"messages": say("Hi", "so")[1:]}], tokenizer))

    def test_without_trl_it_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "trl.chat_template_utils", None)
        rows = conversations()
        with pytest.raises(InputError, match=r"row 0: .* needs TRL, .*pip install '\.\[train\]'"):
            list(ExampleStream(rows, toy_tokenizer(chat_template=PLAIN_CHAT)))
        assert list(ExampleStream(rows, toy_tokenizer(chat_template=MARKED_CHAT)))
        assert list(ExampleStream(rows, toy_tokenizer(chat_template=PLAIN_CHAT), loss_on="all"))

    def test_a_replaced_template_is_seen(self) -> None:
        tokenizer = toy_tokenizer(chat_template=PLAIN_CHAT)
        assert chat.training_template(tokenizer)[0] == "prefix"
        tokenizer.chat_template = MARKED_CHAT
        assert chat.training_template(tokenizer)[0] == "markers"


class TestByHand:
    def test_the_border_token_is_learned(self) -> None:
        tokenizer = toy_tokenizer()
        row = {"prompt": "The answer", "completion": "ing machine"}
        example = tokenize_row(Row("row 0", row), tokenizer)
        learned = [x for x in example.labels if x != -100]
        assert tokenizer.decode(example.input_ids) == "The answering machine</s>"
        assert tokenizer.decode(learned) == " answering machine</s>"

    def test_tokenised_rows_are_kept_as_they_are(self) -> None:
        import numpy as np

        rows = [
            {"id": 5, "input_ids": [4, 0, 9], "labels": [-100, 0, 8]},
            {"id": "x", "input_ids": np.array([4, 5]), "labels": (-100, np.int32(5))},
        ]
        assert list(ExampleStream(rows, None)) == [
            Example("5", [4, 0, 9], [-100, 0, 8]),
            Example("x", [4, 5], [-100, 5]),
        ]

    def test_formats_may_be_mixed_and_none_means_absent(self) -> None:
        tokenizer = toy_tokenizer(chat_template=MARKED_CHAT)
        fields = ("prompt", "completion", "messages", "text", "input_ids", "labels")
        rows = [
            text_pairs()[0],
            conversations()[0],
            {"text": "the eggs"},
            {"input_ids": [3, 4], "labels": [-100, 4]},
        ]
        alone = [tokenize_row(Row("row", row), tokenizer, example_id=str(n)) for n, row in enumerate(rows)]
        padded = [dict.fromkeys(fields) | row for row in rows]
        assert list(ExampleStream(padded, tokenizer)) == alone


class Slow:
    """A tokenizer of Python code, which has no batches of its own."""

    def __init__(self, fast: PreTrainedTokenizerFast) -> None:
        self.fast, self.eos_token, self.is_fast, self.calls = fast, fast.eos_token, False, 0

    def __call__(self, text: str, **options: Any) -> Any:
        assert isinstance(text, str)
        self.calls += 1
        return self.fast(text=text, **options)


@pytest.mark.parametrize("ends", ["plain", "bos", "eos"])
@pytest.mark.parametrize("loss_on", ["auto", "all"])
class TestBatches:
    """Many rows in one call of the tokenizer, beside one call for each text."""

    def test_equal_one_row_at_a_time(
        self, ends: Ends, loss_on: LossOn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        rng = random.Random(4)
        rows: list[Row_] = rng.sample([*text_pairs(), *texts(), {"input_ids": [3, 4], "labels": [-100, 4]}] * 3, k=200)
        if loss_on == "all":
            rows = [row for row in rows if "labels" not in row]
        tokenizer = toy_tokenizer(ends)
        tokenizer.model_max_length = 8  # longer texts would be warned of
        alone = [
            tokenize_row(Row("", row), tokenizer, loss_on=loss_on, example_id=str(n)) for n, row in enumerate(rows)
        ]
        alone = [example for example in alone if any(label != -100 for label in example.labels[1:])]
        for size in (1, 7, 256):
            monkeypatch.setattr("headprint.data.examples._TOKENISED", size)
            assert list(ExampleStream(rows, tokenizer, loss_on=loss_on)) == alone
        slow = Slow(tokenizer)
        assert list(ExampleStream(rows, slow, loss_on=loss_on)) == alone
        assert slow.calls >= sum("input_ids" not in row for row in rows)
        assert not caplog.records

    def test_few_calls(self, ends: Ends, loss_on: LossOn, monkeypatch: pytest.MonkeyPatch) -> None:
        tokenizer, calls = toy_tokenizer(ends), 0
        encode = type(tokenizer).__call__

        def counted(self: PreTrainedTokenizerFast, *args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            return encode(self, *args, **options)

        monkeypatch.setattr(type(tokenizer), "__call__", counted)
        assert (
            len(list(ExampleStream([{"prompt": "The", "completion": " answer"}] * 600, tokenizer, loss_on=loss_on)))
            == 600
        )
        assert calls == 3


def test_the_rows_before_a_broken_one_come_first(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    whole = '{"text": "The answer"}\n'
    for line, message in (("{", r"train\.jsonl:11: broken JSON"), ('{"text": 5}', r"train\.jsonl:11: 'text' is int")):
        path.write_text(whole * 10 + line + "\n" + whole)
        examples, seen = ExampleStream(path, toy_tokenizer()), list[str]()
        with pytest.raises(InputError, match=message):
            seen.extend(example.id for example in examples)
        assert len(seen) == 10


def test_supervised_tokens_are_counted() -> None:
    rng = random.Random(6)
    for length in (0, 1, 2, 30):
        labels = [rng.choice([-100, 0, 7]) for _ in range(length)]
        example = Example("x", [1] * length, labels)
        assert example.supervised == sum(label != -100 for label in labels[1:])


def stream(labels: Sequence[Sequence[int]], **options: Any) -> ExampleStream:
    rows = [{"input_ids": list(range(len(one))), "labels": list(one)} for one in labels]
    return ExampleStream(rows, None, **options)


class TestStream:
    def test_rows_without_a_token_to_learn_are_dropped(self) -> None:
        examples = stream([[-100, 1], [-100, -100], [0, -100], [0], []])
        assert [example.id for example in examples] == ["0"]
        dropped = ["row 1", "row 2", "row 3", "row 4"]
        assert examples.report == Report(
            read=5, kept=1, dropped_unsupervised=4, places={"dropped_unsupervised": dropped}
        )

    @pytest.mark.parametrize(
        ("overlong", "kept", "counts"),
        [
            ("truncate", {"0": 3, "1": 3, "3": 2}, {"truncated": 1, "dropped_unsupervised": 1}),
            ("drop", {"0": 3, "3": 2}, {"dropped_long": 2}),
        ],
    )
    def test_overlong_rows(self, overlong: Overlong, kept: dict[str, int], counts: dict[str, int]) -> None:
        labels = [[0, 1, 2], [-100, 1, 2, 3], [-100, -100, -100, 3], [0, 1]]
        examples = stream(labels, max_length=3, overlong=overlong)
        assert {example.id: len(example.labels) for example in examples} == kept
        report = examples.report.to_dict()
        places = report.pop("places")
        expected = {"truncated": 0, "dropped_long": 0, "dropped_unsupervised": 0} | counts
        assert report == {"read": 4, "kept": len(kept)} | expected
        assert {kind: len(named) for kind, named in places.items()} == counts

    def test_the_report_names_a_few_places(self) -> None:
        examples = stream([[0, 1]] + [[0, -100]] * 1000)
        assert len(list(examples)) == 1
        assert str(examples.report) == (
            "1,001 rows read, 1 kept; 1,000 dropped: no token to learn (row 1, row 2, row 3, row 4, row 5, …)"
        )

    def test_it_can_be_read_again(self) -> None:
        examples = ExampleStream(iter(text_pairs()), toy_tokenizer())
        first, report = list(examples), examples.report
        assert list(examples) == first
        assert examples.report == report

    def test_it_does_not_read_ahead(self) -> None:
        examples = stream([[0, 1], [0]])
        assert next(iter(examples)).id == "0"
        assert examples.report.read == 1

    def test_limit(self) -> None:
        examples = stream([[0, 1], [0, -100], [0, 1]], limit=2)
        assert [example.id for example in examples] == ["0"]
        assert examples.report.read == 2

    def test_nothing_left(self) -> None:
        with pytest.raises(InputError, match=r"no example is left: 2 rows read, 0 kept; .*row 1"):
            list(stream([[0], [0, -100]]))

    @pytest.mark.parametrize("options", [{"max_length": 1}, {"limit": 0}, {"overlong": "keep"}, {"loss_on": "prompt"}])
    def test_options_out_of_range(self, options: dict[str, Any]) -> None:
        with pytest.raises(InputError, match=f"{next(iter(options))} is"):
            stream([[0, 1]], **options)


class TestIds:
    @staticmethod
    def rows(*ids: Any) -> list[Row_]:
        return [{"id": one, "input_ids": [1, 2], "labels": [1, 2]} for one in ids]

    def test_duplicates_are_named_by_both_places(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="row 3: the id 'b' is that of row 1; ids must be"):
            list(ExampleStream(self.rows("a", "b", "c", "b"), None))
        path = tmp_path / "train.jsonl"
        line = '{"id": 7, "input_ids": [1, 2], "labels": [1, 2]}\n'
        path.write_text(line + "\n" + line.replace("7", '"7"'))
        with pytest.raises(InputError, match=r"train\.jsonl:3: the id '7' is that of .*\.jsonl:1;"):
            list(ExampleStream(path, None))

    def test_duplicates_far_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("headprint.data.examples._Seen.block", 4)
        ids = random.Random(5).sample(range(10**6), 50)
        assert len(list(ExampleStream(self.rows(*ids), None))) == 50
        for first in (0, 3, 17, 48):
            with pytest.raises(InputError, match=f"row 50: .* is that of row {first};"):
                list(ExampleStream(self.rows(*ids, ids[first]), None))

    def test_equal_hashes_are_no_duplicates(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("headprint.data.examples.hash", lambda _: 1, raising=False)
        assert [e.id for e in ExampleStream(self.rows("a", "b", "c"), None)] == ["a", "b", "c"]
        with pytest.raises(InputError, match="row 2: the id 'a' is that of row 0"):
            list(ExampleStream(self.rows("a", "b", "a"), None))

    def test_all_or_none(self) -> None:
        with pytest.raises(InputError, match="row 1: no 'id', unlike the rows before"):
            list(ExampleStream(self.rows("a", None), None))
        with pytest.raises(InputError, match="row 1: an 'id', unlike the rows before"):
            list(ExampleStream(self.rows(None, "a"), None))
        assert [e.id for e in ExampleStream(self.rows(None, None), None)] == ["0", "1"]

    @pytest.mark.parametrize("one", [1.5, True, "", ["a"]])
    def test_type(self, one: Any) -> None:
        with pytest.raises(InputError, match="row 0: the id is"):
            list(ExampleStream(self.rows(one), None))


class TestBrokenRows:
    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"prompt": "a", "task": "t"}, r"no 'completion' \(found: prompt, task\); each row"),
            ({"completion": "a"}, "no 'prompt'"),
            ({"prompt": "a", "completion": None}, r"no 'completion' \(found: prompt\)"),
            ({"question": "a"}, r"nothing to learn \(found: question\); each row needs"),
            ({}, r"nothing to learn \(found: nothing\)"),
            ({"prompt": "a", "completion": "b", "text": "c"}, "both prompt.completion and text"),
            ({"prompt": "a", "completion": 5}, "'completion' is int; it must be text or a list"),
            ({"prompt": 5, "completion": "a"}, "'prompt' is int"),
            ({"prompt": "a", "completion": say("b")}, "'completion' is list; .*both sides alike"),
            ({"prompt": say("a"), "completion": "b"}, "'completion' is str; it must be a list"),
            ({"prompt": [], "completion": say("b")}, "'prompt' is an empty list"),
            ({"messages": "a"}, "'messages' is str"),
            ({"messages": []}, "'messages' is an empty list"),
            ({"messages": ["a"]}, r"'messages'\[0\] has no role"),
            ({"messages": [*say("a"), {"content": "b"}]}, r"'messages'\[1\] has no role"),
            ({"messages": say("a", "b"), "tools": "{"}, "'tools' is text but not JSON"),
            ({"messages": [{"role": "user", "content": 1}]}, "the chat template cannot render"),
            ({"text": ["a"]}, "'text' is list; it must be text"),
            ({"text": "ab\ud83d"}, r"'text' is not Unicode text \('\\ud83d' at character 2\)"),
            ({"prompt": "\udc00", "completion": "a"}, "'prompt' is not Unicode text"),
            ({"input_ids": [1, 2]}, "'input_ids' without 'labels'"),
            ({"input_ids": [1, 2], "labels": [1]}, "2 input_ids and 1 labels"),
            ({"input_ids": [1, 2.0], "labels": [1, 2]}, "'input_ids' holds 2.0"),
            ({"input_ids": [1, True], "labels": [1, 2]}, "'input_ids' holds True"),
            ({"input_ids": "12", "labels": [1, 2]}, "'input_ids' is str"),
            ({"input_ids": [1, -100], "labels": [1, 2]}, "a negative number in 'input_ids'"),
            ({"input_ids": [1, 2], "labels": [-1, 2]}, "a negative label other than -100"),
            ({"input_ids": [1, 2**63], "labels": [1, 2]}, r"'input_ids' holds a number of 2\*\*31 or more"),
            ({"input_ids": [1, 2], "labels": [1, 10**30]}, r"'labels' holds a number of 2\*\*31 or more"),
            ({"messages": say("a", "b"), "tools": "[" * 200_000}, "'tools' is text but not JSON"),
        ],
    )
    def test_is_named_with_its_place(self, row: Row_, message: str) -> None:
        tokenizer = toy_tokenizer(chat_template=MARKED_CHAT)
        rows = [{"text": "a whole row"}, row]
        with pytest.raises(InputError, match=f"^row 1: {message}"):
            list(ExampleStream(rows, tokenizer))

    @pytest.mark.parametrize(
        ("row", "loss_on"),
        [
            ({"text": "a"}, "completion"),
            ({"text": "a"}, "assistant"),
            ({"prompt": "a", "completion": "b"}, "assistant"),
            ({"messages": say("a", "b")}, "completion"),
            ({"input_ids": [1, 2], "labels": [1, 2]}, "all"),
        ],
    )
    def test_loss_that_cannot_be_there(self, row: Row_, loss_on: LossOn) -> None:
        tokenizer = toy_tokenizer(chat_template=MARKED_CHAT)
        with pytest.raises(InputError, match=f"row 0: loss_on='{loss_on}' means nothing for"):
            list(ExampleStream([row], tokenizer, loss_on=loss_on))

    def test_what_the_template_forbids(self) -> None:
        template = "{{ raise_exception('System role not supported') }}"
        rows = [{"messages": say("a", "b")}]
        with pytest.raises(InputError, match=r"row 0: .* \(System role not supported\)"):
            list(ExampleStream(rows, toy_tokenizer(chat_template=template), loss_on="all"))

    @pytest.mark.parametrize("loss_on", ["auto", "all"])
    def test_no_chat_template(self, loss_on: LossOn) -> None:
        rows = [{"messages": say("a", "b")}]
        with pytest.raises(InputError, match="row 0: the tokenizer has no chat template"):
            list(ExampleStream(rows, toy_tokenizer(), loss_on=loss_on))

    def test_no_tokenizer(self) -> None:
        with pytest.raises(InputError, match="row 0: no 'input_ids' and no tokenizer"):
            list(ExampleStream([{"text": "a"}], None))

    def test_no_end_of_text_token(self) -> None:
        tokenizer = toy_tokenizer()
        tokenizer.eos_token = None
        with pytest.raises(InputError, match="row 0: the tokenizer has no end-of-text token"):
            list(ExampleStream([{"text": "a"}], tokenizer))


class TestLimits:
    """What a model cannot read is refused by name, before it is run."""

    ROWS: ClassVar = [{"id": f"r{n}", "input_ids": list(range(n)), "labels": list(range(n))} for n in (5, 9, 7)]

    def test_a_longer_row_than_the_model_reads(self) -> None:
        stream = iter(ExampleStream(self.ROWS, None, context=8))
        assert next(stream).id == "r5"
        with pytest.raises(InputError, match=r"^row 1: 9 tokens, and the model's context is 8: .* max_length=8"):
            next(stream)
        assert len(list(ExampleStream(self.ROWS, None, context=9))) == 3

    def test_what_is_cut_or_dropped_is_not_too_long(self) -> None:
        cut = list(ExampleStream(self.ROWS, None, context=8, max_length=8))
        assert [len(example.input_ids) for example in cut] == [5, 8, 7]
        dropped = list(ExampleStream(self.ROWS, None, context=8, max_length=8, overlong="drop"))
        assert [example.id for example in dropped] == ["r5", "r7"]
        with pytest.raises(InputError, match=r"^row 1: 9 tokens"):
            list(ExampleStream(self.ROWS, None, context=8, max_length=9))

    @pytest.mark.parametrize(("field", "what"), [("input_ids", "token id"), ("labels", "label")])
    def test_a_number_outside_the_vocabulary(self, field: str, what: str) -> None:
        rows = copy.deepcopy(self.ROWS)
        rows[2][field][3] = 11
        with pytest.raises(
            InputError, match=f"^row 2: the {what} 11 at position 3 is outside the model's vocabulary of 11; tokenise"
        ):
            list(ExampleStream(rows, None, vocabulary=11))
        assert len(list(ExampleStream(rows, None, vocabulary=12))) == 3
