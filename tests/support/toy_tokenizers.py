"""Small real tokenizers, trained in a moment and offline."""

from functools import cache
from typing import Any, Literal

from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

Ends = Literal["plain", "bos", "eos"]

TEXT = [
    "Question: How many eggs are left in the basket? Answer: There are seven eggs left.",
    "The answering machine answered the questions of the user and the assistant.",
    "def solution(n):\n    return n + 1\n",
    "Ella's score is 40 items - 4 items = 36 items.\n#### 36",
    "Größe, naïve café, 東京タワー, мир, 🙂🙃",
]
SPECIAL = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]

PLAIN_CHAT = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""A ChatML template without generation markers, one that TRL does not know."""

MARKED_CHAT = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content + '<|im_end|>\\n' }}{% endgeneration %}"
    "{% else %}{{ message.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The same text as `PLAIN_CHAT`, with the assistant's turns marked."""

FORGETFUL_CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{{ message.content if loop.last or message.role == 'user' else '...' }}{{ '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""Earlier assistant turns are rendered differently once others follow (as thinking blocks are)."""


@cache
def _trained() -> str:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer.to_str()


def toy_tokenizer(ends: Ends = "plain", **options: Any) -> PreTrainedTokenizerFast:
    """Byte-level BPE of 400 tokens.

    Args:
        ends: What plain text gets: nothing, `<s>` before it (as Llama's), or `</s>` after it.
        options: For the tokenizer: `chat_template`, …
    """
    tokenizer = Tokenizer.from_str(_trained())
    if ends != "plain":
        token, single = ("<s>", "<s> $A") if ends == "bos" else ("</s>", "$A </s>")
        special = [(token, tokenizer.token_to_id(token))]
        tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        **options,
    )
