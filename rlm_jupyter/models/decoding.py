"""Means of a server to hold an agent's reply to one block of code: a stop text, a grammar, a prefix.

Small models answer the first turn in prose, or write on after their code and make up its output. Some servers can keep
them from it while they decode. Which means a server has is known by its software; what is not known is not used, and
neither is anything for a model that thinks before it writes: a grammar or a stop text would hit its thoughts.

Used by default, where the server is one on this machine: the stop text. A grammar is checked for each token, which may
slow a reply down; a prefix takes away the words before the code, in which a model plans. Both are used only where they
are set by hand, as all else can be::

    rlm.model.decoding = DecodingHelps(prefix="continue_final_message")  # or DecodingHelps(): none at all
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from rlm_jupyter.models.base import Message

if TYPE_CHECKING:
    from rlm_jupyter.models.local.discovery import LocalServer

Grammar = Literal["", "grammar", "structured_outputs", "guided_grammar"]
Prefix = Literal["", "last_message", "continue_final_message", "prefix"]

OPENING: Final = "```repl\n"
"""What a reply begins with where a prefix is used."""
_CLOSING: Final = "```"
STOPS: Final = ("\n```\n\n", "\n```\n```")
"""Ends of a block that cannot be its beginning: a fence before an empty line, or before another fence."""
STOPS_AFTER_OPENING: Final = ("\n```\n",)
"""The same where the block is open already, so that the next fence is its end."""

_CODE: Final = r"""
code ::= first line* "```"
first ::= [ \t]* [^` \t\n] [^\n]* "\n"
line ::= ( [^`\n] [^\n]* | "`" ( [^`\n] [^\n]* )? | "``" ( [^`\n] [^\n]* )? )? "\n"
"""
GRAMMAR: Final = r"""root ::= text{0,8} "```repl\n" code
text ::= piece{0,300} "`"? "\n"
piece ::= [^`\n] | "`" [^`\n]
""" + _CODE.lstrip()
"""A reply of at most eight lines of text and one block, in GBNF, as llama.cpp and vLLM's backends take it."""
GRAMMAR_AFTER_OPENING: Final = "root ::= code\n" + _CODE.lstrip()

_THINKS: Final = re.compile(r"think|reason|gpt-oss|qwq|magistral|(?:^|[-_/])r1(?:[-_:.]|$)", re.IGNORECASE)
_DOES_NOT: Final = re.compile(r"instruct|coder", re.IGNORECASE)
_THOUGHT_MARK: Final = re.compile(r"</?think|\[/?THINK\]|<\|channel\|>")
_NAMED: Final = (
    ("grammar", re.compile(r"grammar|structured_outputs|guided", re.IGNORECASE)),
    (
        "prefix",
        re.compile(
            r"prefill|prefix|continue_final|add_generation_prompt|alternate|(?:last|final)[^.]{0,40}message"
            r"|message[^.]{0,40}(?:last|final)",
            re.IGNORECASE,
        ),
    ),
    ("stop", re.compile(r"\bstop\b", re.IGNORECASE)),
)
"""Which words of a refusal blame which means."""
_OWN_GRAMMARS: Final = frozenset(
    ("grammar", "structured_outputs", "guided_grammar", "guided_json", "guided_regex", "guided_choice")
) | frozenset(("response_format", "json_schema", "tools", "format"))
"""Fields of the user's own that a grammar would contradict."""
_NEWER_VLLM: Final = (0, 11)
"""The first version that takes `structured_outputs` in the place of `guided_*`."""


@dataclass(frozen=True)
class DecodingHelps:
    """Which means a server has, or which are to be used.

    Attributes:
        stop: whether a stop text ends the reply after its first block.
        grammar: the field of a request that takes a grammar; empty for none.
        prefix: how a reply is begun for the model: by a last message of the assistant alone (``last_message``), by
            vLLM's fields (``continue_final_message``), or by a mark on that message (``prefix``: Mistral, DeepSeek's
            beta address); empty for none.
    """

    stop: bool = False
    grammar: Grammar = ""
    prefix: Prefix = ""

    def __bool__(self) -> bool:
        return self.stop or bool(self.grammar) or bool(self.prefix)

    def without(self, names: Collection[str]) -> DecodingHelps:
        """Returns these but for the named ones (``stop``, ``grammar``, ``prefix``)."""
        return DecodingHelps(
            stop=self.stop and "stop" not in names,
            grammar="" if "grammar" in names else self.grammar,
            prefix="" if "prefix" in names else self.prefix,
        )


NONE: Final = DecodingHelps()


def known_helps(server: LocalServer | None, provider: str | None = None, url: str = "") -> DecodingHelps:
    """Returns which means a server has; none if that is not known.

    Args:
        server: what a server on this machine says of itself; None if it was not asked, or says nothing.
        provider: the prefix of the model's name.
        url: the server's base URL.
    """
    match server.kind if server is not None else "":
        case "llamacpp":
            return DecodingHelps(stop=True, grammar="grammar", prefix="last_message")
        case "llama-cpp-python":
            return DecodingHelps(stop=True, grammar="grammar")
        case "vllm":
            version = server.version if server is not None else ""
            grammar: Grammar = "guided_grammar" if _is_old_vllm(version) else "structured_outputs"
            return DecodingHelps(stop=True, grammar=grammar, prefix="continue_final_message")
        case "lmstudio" | "ollama" | "sglang":
            return DecodingHelps(stop=True)
    if provider == "mistral" or (provider == "deepseek" and url.rstrip("/").endswith("/beta")):
        return DecodingHelps(stop=True, prefix="prefix")
    return NONE


def default_helps(server: LocalServer | None) -> DecodingHelps:
    """Returns which means are used if nothing is set: the stop text of a server on this machine."""
    return DecodingHelps(stop=known_helps(server).stop)


def thinks(model: str) -> bool | None:
    """Returns whether a model thinks before it writes, by its name; None if that does not tell."""
    if _THINKS.search(model):
        return True
    return False if _DOES_NOT.search(model) else None


def shows_thoughts(text: str) -> bool:
    """Returns whether a reply has marks of thoughts in it."""
    return _THOUGHT_MARK.search(text) is not None


@dataclass(frozen=True)
class TurnDecoding:
    """The means that one request uses.

    Attributes:
        helps: which.
    """

    helps: DecodingHelps = NONE

    def request(
        self, body: Mapping[str, object], messages: Sequence[Message]
    ) -> tuple[dict[str, object], list[Message]]:
        """Returns the fields and messages of a request with the means added; what the user set is left as it is."""
        fields, chat, helps = dict(body), list(messages), self._free(body)
        if helps.prefix:
            begun: dict[str, object] = {"role": "assistant", "content": OPENING}
            if helps.prefix == "prefix":
                begun["prefix"] = True
            elif helps.prefix == "continue_final_message":
                fields |= {"continue_final_message": True, "add_generation_prompt": False}
            chat.append(begun)  # type: ignore[arg-type]  # a message with a provider's own mark
        if helps.stop:
            fields["stop"] = list(STOPS_AFTER_OPENING if helps.prefix else STOPS)
        if helps.grammar:
            grammar = GRAMMAR_AFTER_OPENING if helps.prefix else GRAMMAR
            fields[helps.grammar] = {"grammar": grammar} if helps.grammar == "structured_outputs" else grammar
        return fields, chat

    def listener(self, on_delta: Callable[[str], None] | None) -> Callable[[str], None] | None:
        """Returns what is to be called with the pieces of the reply, so that the listener hears its beginning too."""
        if on_delta is None or not self.helps.prefix:
            return on_delta
        return _Begun(on_delta)

    def whole(self, text: str, finish_reason: str | None) -> str:
        """Returns the reply with what servers leave out of it: its given beginning, and the fence that was the stop."""
        if not self.helps:
            return text
        if self.helps.prefix and not text.lstrip().startswith(OPENING.rstrip()):
            text = OPENING + text
        if self.helps.stop and finish_reason in (None, "stop") and _is_open(text):
            text = f"{text.rstrip()}\n{_CLOSING}"
        return text

    def without(self, said: str) -> TurnDecoding | None:
        """Returns what is left if a refusal blames some of the means; None if it blames none of those in use."""
        blamed = next((n for n, words in _NAMED if getattr(self.helps, n) and words.search(said)), None)
        return None if blamed is None else TurnDecoding(self.helps.without({blamed}))

    def _free(self, body: Mapping[str, object]) -> DecodingHelps:
        """Leave out what the user has set otherwise."""
        taken = {"stop"} if "stop" in body else set()
        if _OWN_GRAMMARS & body.keys():
            taken |= {"grammar", "prefix"}
        return self.helps.without(taken)


class _Begun:
    """Hands pieces on, the given beginning first, unless the server sends it by itself."""

    def __init__(self, on_delta: Callable[[str], None]) -> None:
        self._on_delta = on_delta
        self._held = ""
        self._open = True

    def __call__(self, text: str) -> None:
        if not self._open:
            self._on_delta(text)
            return
        self._held += text
        mark = OPENING.rstrip()
        begin = self._held.lstrip()[: len(mark)]
        if len(begin) < len(mark) and mark.startswith(begin):
            return  # it may still become the beginning
        self._open = False
        self._on_delta(self._held if begin == mark else OPENING + self._held)


def _is_open(text: str) -> bool:
    """Returns whether a block that a reply began has no end."""
    fences = [line for line in text.split("\n") if line.startswith(_CLOSING)]
    return len(fences) % 2 == 1 and not text.rstrip().endswith(f"\n{_CLOSING}")


def _is_old_vllm(version: str) -> bool:
    numbers = re.match(r"(\d{1,4})\.(\d{1,4})", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < _NEWER_VLLM
