"""Turn a row into token ids and labels: exactly those that TRL's ``SFTTrainer`` would train on.

    prompt + completion     text or lists of messages; loss on the completion
    messages                a conversation through the chat template; loss on the assistant's turns
    text                    loss on every token
    input_ids + labels      as they are

As in TRL 1.16 (``SFTTrainer._prepare_dataset``, https://github.com/huggingface/trl), plain text gets the end-of-text
token unless it ends with it; prompt and completion are tokenised *together*, and the completion begins at the first
token that differs from those of the prompt alone (so a token that straddles the border is learned); a conversation
gets no token beyond its template.

The plain text of many rows goes through a fast tokenizer in one call: that takes a third of the time of one call for
each, and still encodes every text on its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple, TypeAlias

from headprint.base.errors import InputError
from headprint.base.options import LossOn
from headprint.data import chat
from headprint.data.chat import Tokenizer
from headprint.data.rows import Row

IGNORE = -100
"""The label of a token without loss, as in PyTorch and transformers."""

"""Where the loss is; see ``headprint.data.examples.ExampleStream``."""

_Data: TypeAlias = dict[str, Any]
_Tokens: TypeAlias = tuple[list[int], list[int]]

_NEEDED = "each row needs prompt+completion, messages, text, or input_ids+labels"


@dataclass(frozen=True, slots=True)
class Example:
    """One row as the model sees it.

    Attributes:
        id: The row's ``id``, or its number in the source (from 0) if the rows have none.
        input_ids: Token ids, length T.
        labels: Length T: ``labels[i]`` is the target *at* position i, predicted from position i-1; -100 where there
            is no loss. Not shifted, as in transformers.
    """

    id: str
    input_ids: list[int]
    labels: list[int]

    @property
    def supervised(self) -> int:
        """The number of tokens that carry loss; the first never does, since nothing predicts it."""
        return len(self.labels) - 1 - self.labels[1:].count(IGNORE) if self.labels else 0


def check_limits(
    example: Example,
    place: str,
    *,
    context: int | None = None,
    vocabulary: int | None = None,
    fix: str = "shorten or drop the row",
) -> None:
    """Refuse a row that a model cannot read.

    Args:
        example: The row's tokens and labels, cut if they are to be cut.
        place: Where the row stands, for the message.
        context: Tokens that the model reads at most; None for no limit.
        vocabulary: Token ids and labels must be below this; None for no limit.
        fix: What to do about a row that is too long, for the message.

    Raises:
        InputError: The row is longer, or holds another token id or label.
    """
    if context is not None and len(example.input_ids) > context:
        raise InputError(f"{place}: {len(example.input_ids):,} tokens, and the model's context is {context:,}: {fix}")
    if vocabulary is None:
        return
    for what, values in (("token id", example.input_ids), ("label", example.labels)):
        if max(values, default=0) >= vocabulary:
            at, value = next((at, value) for at, value in enumerate(values) if value >= vocabulary)
            raise InputError(
                f"{place}: the {what} {value} at position {at} is outside the model's vocabulary of {vocabulary:,}; "
                "tokenise the row with this model's own tokenizer"
            )


class _Texts(NamedTuple):
    """Plain text yet to be encoded: the whole row, and its prompt if that carries no loss."""

    whole: str
    prompt: str | None = None


def tokenize_row(
    row: Row,
    tokenizer: Tokenizer | None,
    *,
    loss_on: LossOn = "auto",
    example_id: str = "0",
) -> Example:
    """Turn one row into its tokens and labels, at full length.

    Raises:
        InputError: The row lacks a field or holds a wrong type, or its loss cannot be where
            ``loss_on`` says; with the row's place.
    """
    (found,) = tokenize_rows([row], tokenizer, loss_on=loss_on)
    if isinstance(found, InputError):
        raise found
    return Example(example_id, *found)


def tokenize_rows(
    rows: Sequence[Row], tokenizer: Tokenizer | None, *, loss_on: LossOn = "auto"
) -> list[_Tokens | InputError]:
    """Turn many rows into tokens and labels at once; a row that is broken gives its error instead."""
    read = [_read(row, tokenizer, loss_on) for row in rows]
    texts = [text for found in read if isinstance(found, _Texts) for text in found if text is not None]
    encoded = iter(_encode(texts, tokenizer))
    return [_learned(found, encoded) if isinstance(found, _Texts) else found for found in read]


def _read(row: Row, tokenizer: Tokenizer | None, loss_on: LossOn) -> _Tokens | _Texts | InputError:
    # Parquet and `datasets` fill the fields that a row lacks with None.
    data = {key: value for key, value in row.data.items() if value is not None}
    try:
        return _read_format(data)(data, tokenizer, loss_on)
    except InputError as error:
        named = InputError(f"{row.place}: {error}")
        named.__cause__ = error
        return named


def _read_format(data: _Data) -> Callable[..., _Tokens | _Texts]:
    """Choose the reader for the fields that the row has, in TRL's order of preference."""
    if "input_ids" in data:
        return _tokenised
    pair = [name for name in ("prompt", "completion") if name in data]
    whole = [name for name in ("messages", "text") if name in data]
    found = ", ".join(map(str, data)) or "nothing"
    if len(pair) == 1:
        lacking = "completion" if pair == ["prompt"] else "prompt"
        raise InputError(f"no '{lacking}' (found: {found}); {_NEEDED}")
    if pair and whole:  # TRL's end-of-text rule would then look at the wrong field
        raise InputError(f"both prompt+completion and {whole[0]}; drop one of them")
    if pair:
        return _conversation_pair if isinstance(data["prompt"], list) else _text_pair
    if not whole:
        raise InputError(f"nothing to learn (found: {found}); {_NEEDED}")
    return _conversation if whole[0] == "messages" else _text


def _tokenised(data: _Data, tokenizer: object, loss_on: LossOn) -> _Tokens:
    _allow(loss_on, ("auto",), "input_ids+labels")
    if "labels" not in data:
        raise InputError("'input_ids' without 'labels'; give a label for each token, -100 where there is no loss")
    ids, labels = (_integers(name, data[name]) for name in ("input_ids", "labels"))
    if len(ids) != len(labels):
        raise InputError(f"{len(ids)} input_ids and {len(labels)} labels; give as many of both")
    if min(ids, default=0) < 0:
        raise InputError("a negative number in 'input_ids'; -100 belongs in 'labels'")
    if any(label < 0 and label != IGNORE for label in labels):
        raise InputError(f"a negative label other than {IGNORE}; no loss is written {IGNORE}")
    return ids, labels


def _text(data: _Data, tokenizer: Tokenizer | None, loss_on: LossOn) -> _Texts:
    _allow(loss_on, ("auto", "all"), "text")
    return _Texts(_ended(_checked_text("text", data), _need(tokenizer)))


def _text_pair(data: _Data, tokenizer: Tokenizer | None, loss_on: LossOn) -> _Texts:
    _allow(loss_on, ("auto", "completion", "all"), "prompt+completion text")
    tokenizer = _need(tokenizer)
    prompt = _checked_text("prompt", data)
    whole = prompt + _ended(_checked_text("completion", data), tokenizer)
    return _Texts(whole, None if loss_on == "all" else prompt)


def _conversation_pair(data: _Data, tokenizer: Tokenizer | None, loss_on: LossOn) -> _Tokens:
    tokenizer = _need(tokenizer)
    options = template_options(data)
    prompt = _checked_messages("prompt", data)
    messages = prompt + _checked_messages("completion", data)
    if loss_on == "assistant":  # TRL: both masks, and the template with markers for the prompt too
        ids, turns = chat.encode_with_turns(messages, tokenizer, **options)
        options["template"] = chat.training_template(tokenizer)[1]
        labels = _mask_others(turns, ids)
    else:
        ids = chat.encode(messages, tokenizer, **options)
        labels = list(ids)
    if loss_on == "all":
        return ids, labels
    prompt_ids = chat.encode(prompt, tokenizer, add_generation_prompt=True, **options)
    return ids, _mask_prompt(prompt_ids, ids, labels)


def _conversation(data: _Data, tokenizer: Tokenizer | None, loss_on: LossOn) -> _Tokens:
    _allow(loss_on, ("auto", "assistant", "all"), "messages")
    tokenizer = _need(tokenizer)
    messages, options = _checked_messages("messages", data), template_options(data)
    if loss_on == "all":
        ids = chat.encode(messages, tokenizer, **options)
        return ids, list(ids)
    ids, turns = chat.encode_with_turns(messages, tokenizer, **options)
    return ids, _mask_others(turns, ids)


def _learned(texts: _Texts, encoded: Iterator[list[int]]) -> _Tokens:
    ids = next(encoded)
    return ids, list(ids) if texts.prompt is None else _mask_prompt(next(encoded), ids, ids)


def _encode(texts: list[str], tokenizer: Tokenizer) -> list[list[int]]:
    """Return the token ids of each text."""
    if texts and getattr(tokenizer, "is_fast", False):
        # The masks that are not asked for are not made.
        every: list[list[int]] = tokenizer(
            text=texts, verbose=False, return_attention_mask=False, return_token_type_ids=False
        )["input_ids"]
        return every
    return [tokenizer(text=text, verbose=False)["input_ids"] for text in texts]


def _ended(text: str, tokenizer: Tokenizer) -> str:
    end = tokenizer.eos_token
    if not isinstance(end, str):
        raise InputError(
            "the tokenizer has no end-of-text token, which closes plain text; set "
            'tokenizer.eos_token (or "eos_token" in tokenizer_config.json)'
        )
    return text if text.endswith(end) else text + end


def _mask_prompt(prompt_ids: list[int], ids: list[int], labels: list[int]) -> list[int]:
    """Remove the loss from the tokens that ``ids`` has in common with the prompt alone."""
    shorter = min(len(prompt_ids), len(ids))
    length = next((at for at in range(shorter) if prompt_ids[at] != ids[at]), shorter)
    return [IGNORE] * length + labels[length:]


def _mask_others(turns: list[int], ids: list[int]) -> list[int]:
    return [token if inside else IGNORE for token, inside in zip(ids, turns, strict=True)]


def template_options(data: _Data) -> dict[str, Any]:
    """Return what a row says about rendering its conversation: ``tools`` and ``chat_template_kwargs``."""
    tools = data.get("tools")
    if isinstance(tools, str):
        import json

        try:
            tools = json.loads(tools)
        except (ValueError, RecursionError) as error:
            raise InputError(f"'tools' is text but not JSON ({error})") from error
    return {"tools": tools, **data.get("chat_template_kwargs", {})}


def _need(tokenizer: Tokenizer | None) -> Tokenizer:
    if tokenizer is None:
        raise InputError("no 'input_ids' and no tokenizer; give a tokenizer, or tokenised rows")
    return tokenizer


def _allow(loss_on: LossOn, allowed: tuple[LossOn, ...], kind: str) -> None:
    if loss_on not in allowed:
        raise InputError(f"loss_on='{loss_on}' means nothing for {kind}; choose {' or '.join(allowed)}")


def _checked_text(name: str, data: _Data) -> str:
    value = data[name]
    if not isinstance(value, str):
        wanted = "text" if name == "text" else "text or a list of messages, both sides alike"
        raise InputError(f"'{name}' is {_kind(value)}; it must be {wanted}")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can write half a surrogate pair, no tokenizer can read it
        where = f"{value[error.start]!a} at character {error.start}"
        raise InputError(f"'{name}' is not Unicode text ({where}); replace that character") from error
    return value


def _checked_messages(name: str, data: _Data) -> list[dict[str, Any]]:
    value = data[name]
    if not isinstance(value, list) or not value:
        raise InputError(f"'{name}' is {_kind(value)}; it must be a list of messages")
    for number, message in enumerate(value):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise InputError(f"'{name}'[{number}] has no role; a message needs role and content")
    return value


def _integers(name: str, values: Any) -> list[int]:
    values = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(values, list | tuple):
        raise InputError(f"'{name}' is {_kind(values)}; it must be a list of integers")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise InputError(f"'{name}' holds {value!r}; it must be a list of integers")
        if int(value) >= 2**31:  # no vocabulary is near that, and it does not fit the integers of tensors and files
            raise InputError(f"'{name}' holds a number of 2**31 or more; no vocabulary is that large")
    return [int(value) for value in values]


def _kind(value: Any) -> str:
    return "an empty list" if value == [] else type(value).__name__
