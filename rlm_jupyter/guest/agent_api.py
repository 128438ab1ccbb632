"""The words that an agent's code may use.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..values.codec import api as codec
from ..values.codec.spans import has_spans
from ..values.describe import api as describe
from . import preloaded_data
from .answer_types import read_schema
from .asked_user import NO_DEFAULT, AskedUser
from .asyncio_run import run_in_own_loop
from .audio_files import encode_audio
from .bridge.socket_link import Line, Rejected, Reply, error_of
from .caller_kind import Cell, caller_awaits
from .cited_passages import in_own_data, seen_from
from .depth_fallback import fallback_prompt
from .image_files import encode_images
from .mcp_api import ServerWords
from .packed_batch import PackedBatch
from .pending_calls import Batch, Call, Failed, Work, deliver, settled
from .plain_items import plain_items
from .skill_words import SkillWords
from .tool_functions import Tools, encode_function
from .user_checks import AnswerChecks
from .variables import Variables, is_fixed

_BATCH = 1000  # plain completions of one batch under way at once
_BATCH_WITH_DATA = 100  # sub-agents of one batch under way at once; each may hold a descriptor
_BATCH_WITH_MEDIA = 32  # plain completions of one batch under way at once, where they have images or audio
_DESCRIPTORS = 400  # of one batch under way at once; the engine refuses more than 512
_LARGE = 1 << 20  # bytes of a mapped value that are worth a search for cycles once it is dropped
_DESCRIBED = 2500  # characters up to which `describe` prints a text whole
_PREVIEW = 600  # of a longer one
_MOST_TEXTS = 4  # large texts whose bytes are kept to be handed on


class FinalRejected(Rejected):
    """The answer does not fit what was asked for; the message says why. Correct it and call FINAL again."""


class Nothing:
    """What FINAL and SHOW_VARS give: it is false, shows nothing, and may be awaited."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "None"

    def _ipython_display_(self) -> None:
        """Show nothing."""

    def __await__(self) -> Any:
        yield from ()


class Budget(dict[str, Any]):
    """What is left, by name; None is no limit."""

    def __repr__(self) -> str:
        if not self:
            return "no limits"
        return ", ".join(
            f"{name}: {'no limit' if left is None else _figure(left)}" for name, left in self.items()
        )

    def __await__(self) -> Any:
        yield from ()
        return self


class Words(ServerWords, SkillWords):
    """The words of one agent, as bound methods; whoever subclasses it makes the `link`.

    Args:
        shell: of IPython.

    Attributes:
        leaf: whether the agent is at the depth limit.
        settings: as configured by the engine: `fallback_chars`, `rows`, `faithful`, `fields` (of the wanted answer).
        loaded: whether a large value was mapped since this was last reset.
        mapped: whether one may still be mapped.
        texts: the last large texts that came here, each with the descriptor of its bytes.
    """

    link: Line

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.cell = Cell(shell.user_ns)
        self.variables = Variables(shell)
        self.tools = Tools(self.cell, self._finish)
        self.checks = AnswerChecks()
        self.leaf = False
        self.settings: dict[str, Any] = {}
        self.loaded = self.mapped = False
        self.texts: list[tuple[str | bytes, int]] = []

    def llm_query(
        self,
        prompt: Any,
        schema: Any = None,
        *,
        images: Any = None,
        audio: Any = None,
        model: str | None = None,
        instruction: str | None = None,
        tools: Any = (),
        mcp: Any = (),
    ) -> Any:
        """Ask the model one plain question: one completion, no REPL.

        Args:
            prompt: the question, with all the text that it needs. Any other object is handed to a sub-agent.
            schema: of the answer: a JSON Schema or a type; then the answer is a value of it, not a text.
            images: that the model is to see: a list of images of Pillow, figures of matplotlib, arrays of `uint8`,
                bytes of image files, paths and open files; at most 20. Large ones are made smaller. None is fetched.
            audio: that the model is to hear: a list of WAV and MP3 files, as bytes, paths or open files; at most 10.
            model: another model by name.
            instruction: what to do with `prompt`; then a sub-agent does it.
            tools: names of tools for that sub-agent.
            mcp: names of MCP servers for that sub-agent.

        Raises:
            RLMQueryError: there is no answer; its `kind` says why. Of images or audio that are none, or too many,
                it is `unencodable`.
        """
        data = settled(prompt)
        if instruction is None and isinstance(data, str) and not tools and not mcp:
            return deliver(self._ask(data, read_schema(schema), model, images=images, audio=audio), self.cell)
        for kind, files in (("images", images), ("audio", audio)):
            if _has_any(files):
                raise TypeError(
                    f"`{kind}` go with a plain prompt: llm_query(text, {kind}=[...]), without `instruction`, `tools` "
                    f"and `mcp`. A sub-agent gets them as its data: rlm_query(question, context={kind})."
                )
        if instruction is None:
            whole = (
                "Answer from `context` what the schema asks for." if schema else "Say what is in `context`."
            )
            question, data = (data, None) if isinstance(data, str) else (whole, data)
        else:
            question = instruction
        return deliver(self._send_out(question, data, read_schema(schema), tools, mcp, None), self.cell)

    def rlm_query(
        self,
        prompt: str,
        context: Any = None,
        *,
        schema: Any = None,
        tools: Any = (),
        mcp: Any = (),
        name: Any = None,
    ) -> Any:
        """Let a sub-agent with a kernel of its own work on a question; returns the object that it gave to FINAL.

        Args:
            prompt: the question.
            context: the data, any object.
            schema: of the answer: a JSON Schema or a type.
            tools: tools that it may use: names, or functions, also of your own.
            mcp: names of MCP servers that it may use.
            name: what to call it in the tree.

        Raises:
            RLMQueryError: there is no answer; its `kind` says why, its `value` is what there was of one.
        """
        return deliver(
            self._send_out(prompt, settled(context), read_schema(schema), tools, mcp, name), self.cell
        )

    def llm_query_batched(
        self,
        prompts: Iterable[Any],
        *,
        images: Any = None,
        audio: Any = None,
        schema: Any = None,
        model: str | None = None,
        instruction: str | None = None,
        per: int | None = None,
    ) -> Any:
        """Ask many plain questions at once.

        Args:
            prompts: the questions; with `instruction`, items of any plain data, such as rows of a table. A single text
                is asked of each of the images, or with each of the audio.
            images: for each prompt what it shows the model: an image, a list of some, or None.
            audio: for each prompt what the model hears with it, likewise.
            schema: of each answer, as of `llm_query`.
            model: another model by name.
            instruction: what to do with each item.
            per: items that share one request, which costs less; what is missing in its reply is asked again alone.

        Returns:
            The answers in order; a `Failed` stands in the place of one that failed.
        """
        if per is not None or instruction is not None:
            for kind, files in (("images", images), ("audio", audio)):
                if files is not None:
                    raise ValueError(
                        f"`{kind}` go one prompt to a request: leave out `per` and `instruction`."
                    )
            return deliver(
                self._packed(prompts, schema, model, instruction, 1 if per is None else per), self.cell
            )
        texts, plan = _texts(prompts), read_schema(schema)
        if images is None and audio is None:
            starts = [lambda text=text: self._ask(text, plan, model) for text in texts]
            return deliver(Batch("llm_query_batched", starts, _BATCH), self.cell)
        given = _entries(audio, "audio") if images is None else _entries(images, "images")
        texts = texts * len(given) if isinstance(prompts, str) else texts
        shown = _for_each(texts, given if images is not None else None, "images", "an image")
        heard = _for_each(texts, given if images is None else audio, "audio", "a file")
        asks = [
            lambda text=text, seen=seen, sound=sound: self._ask(text, plan, model, images=seen, audio=sound)
            for text, seen, sound in zip(texts, shown, heard, strict=True)
        ]
        return deliver(Batch("llm_query_batched", asks, _BATCH_WITH_MEDIA), self.cell)

    def rlm_query_batched(
        self,
        prompts: Iterable[str],
        contexts: Iterable[Any] | None = None,
        *,
        schema: Any = None,
        tools: Any = (),
        mcp: Any = (),
        name: Any = None,
    ) -> Any:
        """Let many sub-agents work at once, each on its own question and data.

        Returns:
            Their values in order; a `Failed` stands in the place of one that failed.
        """
        texts, plan = _texts(prompts), read_schema(schema)
        data = [None] * len(texts) if contexts is None else list(contexts)
        if len(data) != len(texts):
            raise ValueError(
                f"There are {len(texts)} prompts and {len(data)} contexts; give one context for each."
            )
        functions = len(self.tools.pack(tools)[1])
        starts = [
            lambda text=text, item=item: self._send_out(text, settled(item), plan, tools, mcp, name)
            for text, item in zip(texts, data, strict=True)
        ]
        width = max(1, min(_BATCH_WITH_DATA, _DESCRIPTORS // (1 + functions)))
        return deliver(Batch("rlm_query_batched", starts, width), self.cell)

    def batch_llm_query(self, *calls: Any) -> Any:
        """Gather what `llm_query(...)` gave, as `batch_llm_query(llm_query(a), llm_query(b))`."""
        items = list(calls[0]) if len(calls) == 1 and isinstance(calls[0], (list, tuple)) else list(calls)
        if not caller_awaits(self.cell):
            return [_outcome(item) for item in items]

        async def gather() -> list[Any]:
            return [await _awaited(item) for item in items]

        return gather()

    def FINAL(self, value: Any, *more: Any) -> Nothing:  # noqa: N802 - the dialect's own spelling
        """Returns the answer: any object.

        Args:
            value: the answer.
            more: further values: they are the fields of the wanted schema if it has as many, else all are one tuple.

        Raises:
            FinalRejected: it is not what was asked for; the message says why.
        """
        value = self._together(value, *more) if more else settled(value)
        # Among agents an instance keeps its class; towards the notebook it becomes plain data.
        faithful = bool(self.settings.get("faithful"))
        fd, kind, description = self._encode(value, "value", faithful=faithful)
        if has_spans(fd):
            os.close(fd)
            value = in_own_data(self.cited_data(), value)
            fd, kind, description = self._encode(value, "value", faithful=faithful)
        body = {"description": description, "kind": kind}
        if refusals := self.checks.refusals(value, self.settings):
            body["refusals"] = refusals
        try:
            Work("FINAL", self._finish).start(self.link, "final", body, [fd]).wait()
        except Rejected as error:
            raise FinalRejected(error.message, data=error.data) from None
        return Nothing()

    def FINAL_VAR(self, name: Any) -> Nothing:  # noqa: N802
        """Returns the variable of this name as the answer."""
        if not isinstance(name, str):
            return self.FINAL(name)
        bare = name.strip().strip("\"'`")
        if bare in self.shell.user_ns:
            return self.FINAL(self.shell.user_ns[bare])
        if bare.isidentifier():
            names = ", ".join(f"`{known}`" for known in self.variables.current()) or "none"
            raise NameError(f"There is no variable `{bare}`. There are: {names}.")
        return self.FINAL(name)

    def SUBMIT(self, *values: Any, **fields: Any) -> Nothing:  # noqa: N802
        """Returns the answer: one value, named fields as a dict, or several values as FINAL takes them."""
        if bool(values) == bool(fields):
            raise TypeError(
                "SUBMIT takes either values or named fields: SUBMIT(value), SUBMIT(1, 2) or SUBMIT(a=1, b=2)."
            )
        return self.FINAL(*values) if values else self.FINAL(fields)

    def SHOW_VARS(self) -> Nothing:  # noqa: N802
        """Print what is defined here."""
        found = self.variables.describe()
        for one in found:
            print(f"{one['name']}: {one['summary']}")  # noqa: T201
        if not found:
            print("No variables yet.")  # noqa: T201
        return Nothing()

    def describe(self, *values: Any) -> Nothing:
        """Print what values are: type, size, columns, a few rows or lines."""
        current = self.variables.current()
        for value in values:
            name = next((name for name, known in current.items() if known is value), None)
            whole = type(value) is str and len(value) <= _DESCRIBED
            most = _DESCRIBED if whole else _PREVIEW
            about = describe.describe(value, rows=self.variables.rows, max_chars=most)
            print(describe.render(about, name=name, max_chars=2 * _DESCRIBED))  # noqa: T201
        return Nothing()

    def budget(self) -> Budget:
        """Returns what is left: money, tokens, calls, depth, seconds, tokens of data that may leave."""
        return Budget(Work("budget", self._finish).start(self.link, "budget", {}).wait())

    def ask_user(self, question: str, options: Any = None, default: Any = NO_DEFAULT) -> Any:
        """Ask the user what neither the data nor the question says, and wait for the answer.

        Args:
            question: one short sentence.
            options: what may be chosen from: 2 to 8 objects; None: the answer is a text.
            default: what holds if nobody answers in time, or nobody can be asked; without one, the first option.

        Returns:
            The object of the options that was chosen, or the text that was typed, or the default.

        Raises:
            RLMQueryError: too many questions were asked in this run.
        """
        asked = AskedUser(question, options, default)
        work = Work("ask_user", lambda reply: asked.answer(self._finish(reply)))
        return deliver(work.start(self.link, "ask_user", asked.body), self.cell)

    def cited_data(self) -> dict[str, Any]:
        """Returns the data that passages are of, by the names of its variables."""
        return {}

    # -- how they are done

    def _together(self, *values: Any) -> Any:
        """Make one answer of several values: with the names of the wanted fields, or a tuple."""
        names = self.settings.get("fields") or ()
        found = tuple(settled(value) for value in values)
        return dict(zip(names, found, strict=True)) if len(names) == len(found) else found

    def _ask(
        self,
        prompt: str,
        plan: Any,
        model: str | None,
        *,
        images: Any = None,
        audio: Any = None,
        fallback: bool = False,
    ) -> Work:
        if not isinstance(prompt, str):
            raise TypeError(f"The prompt must be a `str`, not `{type(prompt).__name__}`.")
        schema, convert = plan
        body = {"prompt": prompt, "schema": schema, "model": model, "fallback": fallback}
        work = Work("llm_query", lambda reply: convert(self._finish(reply)))
        if not _has_any(images) and not _has_any(audio):
            return work.start(self.link, "llm_query", body)
        try:
            # Both are encoded before one has a descriptor, which nobody would close.
            files = [encode_images(images)] if _has_any(images) else []
            if _has_any(audio):
                files.append(encode_audio(audio))
                body["hears"] = True
        except (TypeError, ValueError) as error:
            raise error_of("unencodable", str(error)) from None
        fds = [codec.dump(one, allow_pickle=False, name="files")[0] for one in files]
        return work.start(self.link, "llm_query", body, fds)

    def _packed(
        self, prompts: Any, schema: Any, model: str | None, instruction: str | None, per: int
    ) -> Work:
        if isinstance(per, bool) or not isinstance(per, int) or per < 1:
            raise ValueError(f"`per` must be a whole number from 1 on, not `{per!r:.40}`.")
        items = plain_items([prompts] if isinstance(prompts, str) else prompts)
        if instruction is None:
            _texts(items)
        plan, convert = read_schema(schema)
        if isinstance(schema, dict):
            convert = _unchanged  # columns are the fields of one answer, and no table
        packs = [items[start : start + per] for start in range(0, len(items), per)]

        def start(pack: list[Any]) -> Work:
            body = {"items": pack, "question": instruction, "schema": plan, "model": model}
            return Work("llm_query_batched", self._finish).start(self.link, "llm_pack", body)

        starts = [lambda pack=pack: start(pack) for pack in packs]
        return PackedBatch("llm_query_batched", starts, _BATCH, [len(pack) for pack in packs], convert)

    def _send_out(self, prompt: str, context: Any, plan: Any, tools: Any, mcp: Any, name: Any) -> Work:
        if not isinstance(prompt, str):
            raise TypeError(
                f"The question must be a `str`, not `{type(prompt).__name__}`: rlm_query(question, data)."
            )
        if self.leaf:
            return self._fall_back(prompt, context, plan)
        schema, convert = plan
        sent, functions = self.tools.pack(tools)
        body = {"prompt": prompt, "description": None, "schema": schema, "name": name}
        body |= {"tools": sent, "mcp": [mcp] if isinstance(mcp, str) else list(map(str, mcp or ()))}
        fds: list[int] = []
        try:
            if context is not None:
                fd, _, body["description"] = self._encode(context, "context", faithful=True, figures=False)
                fds.append(fd)
            for function in functions:
                fds.append(encode_function(function))  # noqa: PERF401 - those before one that fails are closed
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise

        def finish(reply: Reply) -> Any:
            cited = bool(reply.fds) and has_spans(reply.fds[0])
            value = convert(self._finish(reply))
            return seen_from(self.cited_data(), value, context) if cited else value

        return Work("rlm_query", finish).start(self.link, "rlm_query", body, fds)

    def _fall_back(self, prompt: str, context: Any, plan: Any) -> Work:
        if context is not None:
            about = describe.render(self._describe(context), name="context")
            room = int(self.settings.get("fallback_chars", 60_000))
            prompt = fallback_prompt(prompt, context, about, room)
        return self._ask(prompt, plan, None, fallback=True)

    def _describe(self, value: Any, left_out: Sequence[str] = ()) -> dict[str, Any]:
        if isinstance(value, Path):
            from ..values.files.metadata import describe_path

            return describe_path(value, self.variables.rows)
        return describe.describe(value, rows=self.variables.rows, left_out=left_out)

    def _encode(
        self, value: Any, name: str, *, faithful: bool, figures: bool = True
    ) -> tuple[int, str, dict[str, Any]]:
        """Encode a value; the descriptor is the caller's."""
        for known, fd in self.texts:
            if known is value:  # it cannot have changed: the bytes it came in serve again, without a copy
                return os.dup(fd), codec.kind(fd), self._describe(value)
        left_out: list[str] = []
        try:
            fd, kind = codec.dump(
                value, allow_pickle=True, name=name, faithful=faithful, left_out=left_out, figures=figures
            )
        except codec.Unencodable as error:
            raise error_of("unencodable", str(error)) from None
        return fd, kind, self._describe(value, left_out)

    def _load(self, fd: int) -> Any:
        held = preloaded_data.find(fd)
        if held:  # this kernel was forked from a process that has it; the file may be but a token of it
            value = held[0]
            parts = [value, *value.values()] if type(value) is dict else [value]
            self.variables.shared = [part for part in parts if not is_fixed(part)]
        else:
            value = codec.load(fd, allow_pickle=True)
            if os.fstat(fd).st_size >= _LARGE:
                self.loaded = self.mapped = True
        if type(value) in (str, bytes) and len(value) >= _LARGE // 4:  # a character takes up to four bytes
            self.texts.append((value, os.dup(fd)))
            for _, oldest in self.texts[:-_MOST_TEXTS]:
                os.close(oldest)
            del self.texts[:-_MOST_TEXTS]
        return value

    def _finish(self, reply: Reply) -> Any:
        """Turn a reply into its value, or raise its error with what there is of a value."""
        value = self._load(reply.fds[0]) if reply.fds else None
        if reply.error is not None:
            details = reply.error
            raise error_of(
                details.get("kind", "failed"), details.get("message", ""), value, details.get("data")
            )
        return value if reply.fds else reply.value


def _outcome(item: Any) -> Any:
    """Wait for one of many values, or say that it failed."""
    try:
        if isinstance(item, Awaitable) and not isinstance(item, Call):
            return run_in_own_loop(_awaited(item))
        return settled(item)
    except Exception as error:
        return Failed(error)


async def _awaited(item: Any) -> Any:
    try:
        return await item if isinstance(item, Awaitable) else item
    except Exception as error:
        return Failed(error)


def _has_any(files: Any) -> bool:
    return files is not None and not (isinstance(files, (list, tuple)) and not files)


def _entries(files: Any, name: str) -> list[Any]:
    """Returns what stands for each prompt of a batch; a single file is no list, although some can be gone through."""
    if isinstance(files, (str, bytes, bytearray, memoryview, os.PathLike)) or hasattr(files, "read"):
        raise TypeError(f"`{name}` of a batch is a list, one entry for each prompt: {name}=[...].")
    return list(files)


def _for_each(texts: list[str], entries: Any, name: str, one: str) -> list[Any]:
    """Returns what goes with each prompt."""
    found = [None] * len(texts) if entries is None else _entries(entries, name)
    if len(found) != len(texts):
        raise ValueError(
            f"There are {len(texts)} prompts and {len(found)} entries of `{name}`; give one for each prompt: {one}, "
            "a list of some, or None."
        )
    return found


def _texts(prompts: Any) -> list[str]:
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"`prompts[{index}]` must be a `str`, not `{type(text).__name__}`.")
    return texts


def _unchanged(value: Any) -> Any:
    return value


def _figure(left: Any) -> str:
    if isinstance(left, Mapping):
        return ", ".join(f"{name} {_figure(value)}" for name, value in left.items())
    return f"{left:,.2f}" if isinstance(left, float) else f"{left:,}" if isinstance(left, int) else str(left)
