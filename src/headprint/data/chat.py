"""Turn conversations into token ids, and find the tokens that the assistant says.

The exact way is that of TRL's ``assistant_only_loss``: the chat template encloses what the assistant says in
``{% generation %}`` … ``{% endgeneration %}``. Few published templates do. For many of the others TRL ships marked
versions (which may render differently: Qwen3's keeps every thinking block), and it refuses the rest. Here the rest is
tried by prefixes: the assistant's turn i is what rendering messages 0..i adds to rendering messages 0..i-1 with the
generation prompt, provided that each rendering is a literal prefix of the next and of the whole. Otherwise the row is
refused.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from headprint.base.errors import InputError, missing_extra

Tokenizer: TypeAlias = Any
"""A transformers tokenizer, whose own annotations are too wide to be of use: a union of all that a call may return."""

Messages: TypeAlias = Sequence[Mapping[str, Any]]
TurnsBy: TypeAlias = Literal["markers", "trl", "prefix"]
"""How assistant turns are found: by the template's own markers, by TRL's version of the template, or by prefixes."""

_MARKER = re.compile(r"\{%-?\s*generation\s*-?%\}")
_FIX = "add {% generation %} markers to it, give prompt+completion rows, or set loss_on='all'"


def encode(
    messages: Messages,
    tokenizer: Tokenizer,
    *,
    template: str | None = None,
    add_generation_prompt: bool = False,
    **options: Any,
) -> list[int]:
    """Return the token ids of a conversation; ``options`` go to the chat template (``tools``, …)."""
    options |= {"chat_template": template, "add_generation_prompt": add_generation_prompt}
    ids: list[int] = _apply(messages, tokenizer, return_dict=True, **options)["input_ids"]
    return ids


def encode_with_turns(messages: Messages, tokenizer: Tokenizer, **options: Any) -> tuple[list[int], list[int]]:
    """Return the token ids of a conversation, and a mask of the same length: 1 where the assistant speaks, else 0.

    Raises:
        InputError: Neither markers nor prefixes show which tokens are the assistant's.
    """
    turns_by, template = training_template(tokenizer)
    if turns_by == "prefix":
        return _encode_by_prefix(messages, tokenizer, **options)
    options |= {"chat_template": template, "return_assistant_tokens_mask": True}
    encoded = _apply(messages, tokenizer, return_dict=True, **options)
    return encoded["input_ids"], encoded["assistant_masks"]


def training_template(tokenizer: Tokenizer) -> tuple[TurnsBy, str | None]:
    """Return how this tokenizer's assistant turns are found, and TRL's template if it is the one to use.

    TRL is asked only about a template without markers. If TRL is not installed, such a template is refused rather
    than read by prefixes: results must not depend on what is installed.

    Raises:
        InputError: The tokenizer has no template; or TRL is needed and not installed.
    """
    own = _own_template(tokenizer)
    default = own["default"] if isinstance(own, dict) else own
    return ("markers", None) if _MARKER.search(default) else _trl_template(tokenizer, default)


@lru_cache(maxsize=4)
def _trl_template(
    tokenizer: Tokenizer,
    default: str,  # part of the key: a tokenizer's template can be replaced
) -> tuple[TurnsBy, str | None]:
    try:
        from trl.chat_template_utils import get_training_chat_template
    except ImportError as error:
        purpose = "finding the assistant's turns with a chat template that does not mark them"
        raise missing_extra("train", purpose, otherwise=_FIX) from error
    try:
        return "trl", get_training_chat_template(tokenizer)
    except ValueError:  # TRL does not know this template
        return "prefix", None


def _encode_by_prefix(messages: Messages, tokenizer: Tokenizer, **options: Any) -> tuple[list[int], list[int]]:
    def render(first: int, prompt: bool) -> str:
        options["add_generation_prompt"] = prompt
        text: str = _apply(messages[:first], tokenizer, tokenize=False, **options)
        return text

    whole = render(len(messages), False)
    turns = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        if index == 0:
            raise InputError(
                f"the chat template does not mark what the assistant says, and the assistant speaks first; {_FIX}"
            )
        before, after = render(index, True), render(index + 1, False)
        if not (after.startswith(before) and whole.startswith(after)):
            raise InputError(
                "the chat template does not mark what the assistant says and renders a turn "
                f"differently once another follows; {_FIX}"
            )
        turns.append((len(before), len(after)))
    try:
        encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    except NotImplementedError as error:
        raise InputError(
            "the chat template does not mark what the assistant says and this slow tokenizer does "
            f"not say which characters a token covers; use its fast version, {_FIX}"
        ) from error
    offsets = encoded["offset_mapping"]
    mask = [0] * len(offsets)
    for start, end in turns:
        inside = [i for i, (left, right) in enumerate(offsets) if left < end and right > start]
        # A range, since a token whose whitespace is trimmed from its offsets covers no character.
        for i in range(inside[0], inside[-1] + 1) if inside else ():
            mask[i] = 1
    return encoded["input_ids"], mask


def _own_template(tokenizer: Tokenizer) -> str | dict[str, str]:
    own: str | dict[str, str] | None = tokenizer.chat_template
    if own is None:
        raise InputError(
            "the tokenizer has no chat template for messages; set tokenizer.chat_template, or give "
            "prompt and completion as text"
        )
    return own


def _apply(messages: Messages, tokenizer: Tokenizer, **options: Any) -> Any:
    """Call ``apply_chat_template``; what the template raises about the messages becomes one line."""
    from jinja2 import TemplateError

    _own_template(tokenizer)
    try:
        return tokenizer.apply_chat_template(list(messages), **options)
    except (TemplateError, TypeError, ValueError, KeyError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"the chat template cannot render these messages ({reason}); correct them") from error
