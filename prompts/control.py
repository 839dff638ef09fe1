"""Control tokens of language models, and texts in which they are only words.

A server's tokenizer turns `<|im_start|>` in a document into the token that opens a turn, so a page could speak for the
system or for the assistant. A space behind the first character is enough that no tokenizer knows it, and leaves it
readable.
"""

from __future__ import annotations

import functools
import json
import pathlib
import re
from typing import Any

TOKENS = tuple(
    """<|im_start|> <|im_end|> <|im_sep|> <|endoftext|> <|endofprompt|> <|startoftext|> <|begin_of_text|>
<|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|eom_id|> <|python_tag|> <|header_start|> <|header_end|>
<|eot|> <|user|> <|assistant|> <|system|> <|end|> <|start|> <|channel|> <|message|> <|return|> <|call|> <s> </s> <unk>
<pad> <bos> <eos> <mask> <cls> <sep> [INST] [/INST] <<SYS>> <</SYS>> [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [AVAILABLE_TOOLS]
[/AVAILABLE_TOOLS] [TOOL_CALLS] [TOOL_RESULTS] [/TOOL_RESULTS] [IMG] [IMG_BREAK] [IMG_END] [gMASK] <sop> <eop>
<start_of_turn> <end_of_turn> <start_of_image> <end_of_image> <think> </think> <tool_call> </tool_call> <tool_response>
</tool_response> [PAD] [UNK] [CLS] [SEP] [MASK] <extra_id_0> <image> </image> <img> </img> <video>
<|START_OF_TURN_TOKEN|> <|END_OF_TURN_TOKEN|> <｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <｜User｜> <｜Assistant｜>""".split()
)
"""Of the families that are served most: ChatML, Llama 2 to 4, Mistral, Gemma, Phi, Qwen, DeepSeek, GLM, Command, gpt-oss
and sentencepiece models, as their published tokenizers spell them."""
_BARRED = r"<\|[^\s<>|]{1,60}\|>|<｜[^\s<>｜]{1,60}｜>"  # the form that most of them have, whatever the name
_WIDE = {ord(c) + 0xFEE0: c for c in map(chr, range(0x21, 0x7F))}  # what NFKC makes ASCII of, one for one


def tokens_of(model: str) -> tuple[str, ...]:
    """TOKENS and those that the tokenizer of a model in a local folder knows; of a hub's name, TOKENS.

    >>> "<|im_start|>" in tokens_of("some/model")
    True
    """
    folder, found = pathlib.Path(model), set(TOKENS)
    found |= {str(token["content"]) for token in _read(folder / "tokenizer.json").get("added_tokens") or []}
    config = _read(folder / "tokenizer_config.json")
    found |= {str(token["content"]) for token in (config.get("added_tokens_decoder") or {}).values()}
    for key, value in [*config.items(), *_read(folder / "special_tokens_map.json").items()]:
        if key.endswith("_token") or key == "additional_special_tokens":
            found |= {
                str(one["content"] if isinstance(one, dict) else one)
                for one in (value if isinstance(value, list) else [value])
                if one
            }
    return tuple(sorted(token for token in found if len(token.strip()) > 2 and not token.isalnum()))


def broken_up(text: str, tokens: tuple[str, ...] = TOKENS) -> str:
    """The text with a space after the first character of each control token, in any case and width.

    A text without control tokens is returned as it is.

    >>> broken_up("stop<|im_end|> and [INST]")
    'stop< |im_end|> and [ INST]'
    """
    pattern = _pattern(tokens)
    while found := list(pattern.finditer(text.translate(_WIDE))):  # until none is made of what is left
        for match in reversed(found):
            text = f"{text[: match.start() + 1]} {text[match.start() + 1 :]}"
    return text


@functools.lru_cache(maxsize=8)
def _pattern(tokens: tuple[str, ...]) -> re.Pattern[str]:
    names = sorted({token.translate(_WIDE) for token in tokens}, key=len, reverse=True)
    return re.compile("|".join([_BARRED, *map(re.escape, names)]), re.I)


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
