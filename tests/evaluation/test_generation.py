"""Generation against the full forward, token by token, row by row."""

from __future__ import annotations

import pytest
import torch

import headprint
from headprint.base.errors import InputError
from headprint.data.rows import Row, read_rows
from headprint.data.tokenization import tokenize_row
from headprint.evaluation.generation import generate, prompt_tokens
from support.toy_models import toy_model
from support.toy_rows import small, text_rows
from support.toy_tokenizers import PLAIN_CHAT, toy_tokenizer


@torch.no_grad()
def plain_answer(model, tokenizer, prompt: list[int], max_new_tokens: int, ends: set[int]) -> str:
    """Argmax of the full forward, token by token, without a cache."""
    ids = list(prompt)
    for _ in range(max_new_tokens):
        token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
        if token in ends:
            break
        ids.append(token)
    return tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)


# Rotary, learned and mask-counted positions, ALiBi, a sliding window, soft-capped logits.
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "bloom", "mistral", "gemma2"])
def test_answers_are_the_plain_ones_whatever_the_batches(family) -> None:
    extra = {"sliding_window": 6} if family == "mistral" else {}
    eager = family in ("bloom", "gemma2")  # whose softmax is float32, where a padded float64 row is not a number
    model = small(family, torch.float32 if eager else torch.float64, attention="eager" if eager else "sdpa", **extra)
    tokenizer = toy_tokenizer()
    prompts = [prompt_tokens(row, tokenizer) for row in read_rows(text_rows(7))]
    ends = {2, tokenizer.eos_token_id}
    wanted = [plain_answer(model, tokenizer, prompt, 9, ends) for prompt in prompts]
    assert len(set(wanted)) > 1
    for batch_tokens in (1, 200, None):
        found = generate(model, tokenizer, prompts, max_new_tokens=9, batch_tokens=batch_tokens)
        assert [x.text for x in found] == wanted


def test_scores_that_are_no_numbers_are_refused() -> None:
    model, tokenizer = small(), toy_tokenizer()
    with torch.no_grad():
        model.lm_head.weight[7] = float("nan")
    with pytest.raises(InputError, match="scores are not finite"):
        generate(model, tokenizer, [[5, 6], [7]], max_new_tokens=3)


def test_answers_end_at_any_end_token() -> None:
    model, tokenizer = small(), toy_tokenizer()
    prompts = [prompt_tokens(row, tokenizer) for row in read_rows(text_rows(6))]
    free = [plain_answer(model, tokenizer, prompt, 12, {tokenizer.eos_token_id}) for prompt in prompts]
    with torch.no_grad():  # some token that the first answer holds is made an end
        stop = int(model(input_ids=torch.tensor([prompts[0]])).logits[0, -1].argmax())
    model.generation_config.eos_token_id = [stop]
    ends = {stop, tokenizer.eos_token_id}
    wanted = [plain_answer(model, tokenizer, prompt, 12, ends) for prompt in prompts]
    assert wanted[0] == "" != free[0]
    assert [x.text for x in generate(model, tokenizer, prompts, max_new_tokens=12)] == wanted


def test_prompts_are_those_of_training() -> None:
    row = Row("row 0", {"prompt": "Question: how many?\nAnswer:", "completion": " There are seven."})
    for ends in ("plain", "bos", "eos"):
        tokenizer = toy_tokenizer(ends)
        example = tokenize_row(row, tokenizer)
        prompt = prompt_tokens(row, tokenizer)
        assert prompt == example.input_ids[: len(prompt)]
        assert all(label == -100 for label in example.labels[: len(prompt)])
        assert example.labels[len(prompt)] != -100
    tokenizer = toy_tokenizer(chat_template=PLAIN_CHAT)
    talk = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "Seven."}]
    asked = prompt_tokens(Row("row 0", {"messages": talk}), tokenizer)
    assert tokenizer.decode(asked).endswith("<|im_start|>assistant\n")
    assert asked == prompt_tokens(Row("row 0", {"prompt": talk[:1], "completion": talk[1:]}), tokenizer)
    with pytest.raises(InputError, match=r"f.jsonl:3: nothing to answer \(found: text\)"):
        prompt_tokens(Row("f.jsonl:3", {"text": "all of it"}), tokenizer)


@pytest.mark.parametrize("family", ["gpt2", "llama"])  # learned positions, which end, and rotary ones
def test_answers_end_where_the_context_is_full(family) -> None:
    tokenizer = toy_tokenizer()
    prompts = [prompt_tokens(row, tokenizer) for row in read_rows(text_rows(7))]
    context = max(map(len, prompts)) + 4
    length = "n_positions" if family == "gpt2" else "max_position_embeddings"
    model = toy_model(family, dtype=torch.float64, attention="sdpa", vocab_size=400, **{length: context})
    ends = {2, tokenizer.eos_token_id}
    wanted = [plain_answer(model, tokenizer, prompt, min(9, context - len(prompt)), ends) for prompt in prompts]
    assert len({min(9, context - len(prompt)) for prompt in prompts}) > 1
    for batch_tokens in (1, 200, None):
        found = generate(model, tokenizer, prompts, max_new_tokens=9, batch_tokens=batch_tokens)
        assert [x.text for x in found] == wanted
    free = generate(model, tokenizer, prompts, max_new_tokens=1)
    assert all(x.cut for x in free if x.text)


def test_what_was_cut_is_known() -> None:
    model, tokenizer = small(), toy_tokenizer()
    prompt = prompt_tokens(next(read_rows(text_rows(1))), tokenizer)
    with torch.no_grad():
        stop = int(model(input_ids=torch.tensor([prompt])).logits[0, -1].argmax())
    (long,) = generate(model, tokenizer, [prompt], max_new_tokens=3)
    assert long.cut
    model.generation_config.eos_token_id = [stop]
    assert generate(model, tokenizer, [prompt], max_new_tokens=3) == [("", False)]


def test_out_of_memory_halves_batches(monkeypatch) -> None:
    model, tokenizer = small(), toy_tokenizer()
    rows = text_rows(8)
    wanted = headprint.evaluate(model, tokenizer, rows, scorer="exact", max_new_tokens=5)
    sizes = []
    own = type(model).forward

    def narrow(self, input_ids=None, **rest):
        sizes.append(len(input_ids))
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return own(self, input_ids=input_ids, **rest)

    monkeypatch.setattr(type(model), "forward", narrow)
    prompts = [prompt_tokens(row, tokenizer) for row in read_rows(rows)]
    answers = generate(model, tokenizer, prompts, max_new_tokens=5)
    assert [x.text for x in answers] == [x.output for x in wanted.results]
    assert max(sizes) == 8
