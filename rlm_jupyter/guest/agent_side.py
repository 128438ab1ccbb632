"""What lives inside an agent's kernel: the words that its code may use, and answers to the engine.

It travels there as source: the standard library only. Model code shares this process and
may break anything in it; nothing here is trusted by the engine.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ..values.codec import api as codec
from ..values.codec.spans import Span
from .agent_api import FinalRejected, Nothing, Words
from .asyncio_run import allow_nested_asyncio_run
from .bridge.control_link import ControlLink
from .bridge.socket_link import Link, RLMQueryError, error_of
from .checkpoint.thawed import take_checkpoint
from .cited_passages import make_span
from .clean_tables import clean_table, join_tables
from .code_table import parse_code
from .context_functions import ContextFunctions
from .data_outline import outline_data
from .dspy_lm.import_hook import DspyImport
from .missing_imports import MissingImports
from .pending_calls import Call, Failed
from .shell.shell_cells import ShellCells
from .table_queries import connect
from .text_labels import label_texts
from .text_lines import find_lines, other_lines, parse_lines
from .text_parts import chunks, grep

_guests: list[Guest] = []
_HELPERS = (parse_lines, other_lines, find_lines, clean_table, join_tables, parse_code)
"""Functions that a first look uses, beside the methods `describe` and `classify`."""


class Guest(Words):
    """The agent's side of everything; one in a kernel."""

    def __init__(self, shell: Any, fd: int | None) -> None:
        super().__init__(shell)
        self.answer: dict[str, Any] = {"content": "", "ready": False}
        self.data_names: set[str] = set()
        self.helpers: set[str] = set()
        self.link = self.tools.link = (
            ControlLink(shell.kernel, self.serve)
            if fd is None
            else Link(socket.socket(fileno=fd), self.serve)
        )
        connect(self.link, self._finish)
        words: list[Any] = [self.llm_query, self.rlm_query, self.llm_query_batched, self.rlm_query_batched]
        words += [self.batch_llm_query, self.FINAL, self.FINAL_VAR, self.SUBMIT, self.SHOW_VARS, self.budget]
        words += [self.ask_user, self.cite]
        words += [self.mcp_list_tools, self.mcp_tool_schema, self.mcp_call]
        words += [self.mcp_list_resources, self.mcp_list_resource_templates, self.mcp_read_resource]
        self.variables.words = {
            word.__name__: word for word in (*words, RLMQueryError, FinalRejected, Failed)
        }
        self.variables.words |= {
            "llm_batch": self.variables.words["llm_query_batched"],
            "llm_query_batch": self.variables.words["llm_query_batched"],
            "answer": self.answer,
        }
        self.bind_words()
        self.variables.note(list(self.variables.current()))
        self.imports = MissingImports(shell.user_ns, self.cell)
        functions = ContextFunctions(shell.user_ns, self.context_functions(), self._bind_free)
        shell.ast_transformers += [self.cell, self.imports, functions]
        sys.meta_path.insert(0, DspyImport(self._ask))
        shell.events.register("pre_run_cell", self.bind_words)
        shell.events.register("post_run_cell", self.cell_ended)

    def connect_again(self, fd: int) -> None:
        """Speak over another socket from now on: this process is a copy of the kernel that had the one before."""
        self.link = self.tools.link = Link(socket.socket(fileno=fd), self.serve)
        connect(self.link, self._finish)

    def __reduce__(self) -> Any:
        return _here, ()  # a function that calls a word travels to another agent, and calls that agent's word

    def bind_words(self, *_: Any) -> None:
        """Put the words (back) in place. What was made of the plain names `answer`, `budget` and `cite` stays."""
        namespace = self.shell.user_ns
        for name, word in self.variables.words.items():
            kept = name in namespace and (
                name in self.helpers
                or (name in {"answer", "budget", "cite"} and not callable(namespace[name]))
            )
            if not kept and name not in self.data_names:
                namespace[name] = word

    def FINAL(self, value: Any, *more: Any) -> Nothing:  # noqa: N802 - the dialect's own spelling
        """Returns the answer; see `Words.FINAL`. The dict `answer` stands for its content."""
        if value is self.answer and not more:
            value = dict.get(self.answer, "content")
            if value == "":
                raise FinalRejected(
                    "`answer` is empty. Pass the value itself: FINAL(value), with a variable that you made."
                )
        return super().FINAL(value, *more)

    def cite(self, text: str, start: Any, end: Any = None) -> Span:
        """Returns a passage of the data as a value that knows where it stands, for the answer.

        Args:
            text: of the data: `context`, a text in it, or a part that was cut out of it unchanged.
            start: the first character of the passage in `text`; or the passage's own words.
            end: the character behind its last one; None with words.

        Raises:
            ValueError: there is no such passage in the data.
        """
        return make_span(self.cited_data(), text, start, end)

    def cited_data(self) -> dict[str, Any]:
        """Returns the data that passages are of, by the names of its variables."""
        namespace = self.shell.user_ns
        names = ("context", *sorted(self.data_names - {"context"}))
        return {name: namespace[name] for name in names if name in namespace}

    # -- after each cell

    def cell_ended(self, *_: Any) -> None:
        """Reports what was forgotten, takes `answer` if it is ready, and reports what changed."""
        self._end_unclaimed()
        self._take_answer()
        self._take_assigned()
        changed, removed = self.variables.changes()
        body = {"cell": self.shell.execution_count, "variables": changed, "removed": removed}
        if self.imports.added:
            body["imported"], self.imports.added = self.imports.added, []
        self.link.submit("cell_done", body)  # whose end the engine awaits, after the reply to the cell
        loaded, self.loaded = self.loaded, False
        if loaded or (self.mapped and self.variables.dropped):
            gc.collect()  # what decoding leaves behind may be cyclic, and pin gigabytes
            self.mapped = _has_mappings()

    def _end_unclaimed(self) -> None:
        forgotten = [call for call in list(Call.unclaimed.values()) if call.forgotten()]
        if not forgotten:
            return
        for call in forgotten:
            call.drop()
        names = [call.name for call in forgotten]
        for name in dict.fromkeys(names):
            count = names.count(name)
            times = f" ({count} times)" if count > 1 else ""
            print(  # noqa: T201
                f"{name}(...) was not awaited{times}, so it was cancelled: in a cell that awaits, write "
                f"`await {name}(...)`, or gather several.",
                file=sys.stderr,
            )

    def _take_answer(self) -> None:
        """Take `answer["content"]` as the answer if it says that it is ready; data of that name says nothing."""
        answer = self.shell.user_ns.get("answer")
        if "answer" in self.data_names or type(answer) is not dict:
            return
        if answer is not self.answer and not answer.keys() <= {"content", "ready"}:
            return  # a record that happens to be called so
        try:
            if answer.get("ready"):
                answer["ready"] = False
                self.FINAL(answer.get("content"))
        except Exception as error:  # the engine's, or that of an object which has no truth
            print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201

    def _take_assigned(self) -> None:
        """Take what a cell assigned to the name `FINAL`, as `FINAL = total`: no other meaning is possible."""
        value = self.shell.user_ns.get("FINAL", self.FINAL)
        if callable(value) or "FINAL" in self.data_names:
            return
        self.shell.user_ns["FINAL"] = self.variables.words["FINAL"]
        try:
            self.FINAL(value)
        except Exception as error:  # the engine's, or of a value that cannot be encoded
            print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201

    # -- what the engine asks

    def serve(self, op: str, body: dict[str, Any], fds: list[int]) -> tuple[Any, list[int]]:
        """Answer a request of the engine, on the link's thread."""
        if op == "configure":
            self.leaf = bool(body.get("leaf"))
            self.settings |= body.get("words") or {}
            self.checks.clear()
            self.variables.rows = int(self.settings.get("rows", self.variables.rows))
            if self.settings.get("skills"):
                self.variables.words["load_skill"] = self.load_skill
            if body.get("bash"):
                data = partial(self.shell.user_ns.get, "context")
                ShellCells(data, body["bash"].get("refused")).register(self.shell)
            for link, target in (body.get("links") or {}).items():
                with suppress(OSError):  # a retained kernel has it already
                    Path(link).symlink_to(target)
            return {}, []
        if op == "load":
            return self._take_data(body["names"], body.get("item_names"), fds[0]), []
        if op == "tool":
            return self._take_tool(body, fds), []
        if op == "export":
            return self._export(body)
        if op == "describe":
            return {"variables": self.variables.describe()}, []
        return self._serve_more(op, body, fds)

    def _serve_more(self, op: str, body: dict[str, Any], fds: list[int]) -> tuple[Any, list[int]]:
        if op == "defined":
            return self.variables.defined(body["names"]), []
        if op == "check":
            return self._take_check(body, fds), []
        if op == "helpers":
            return self._bind_helpers(body["question"]), []
        if op == "read_files":
            return self._read_files(body["name"]), []
        if op == "checkpoint":
            return take_checkpoint(self, fds[0]), []
        raise error_of("internal", f"An agent's kernel does not know `{op}`.")

    def _take_data(self, names: Sequence[str], item_names: Sequence[str] | None, fd: int) -> dict[str, Any]:
        value = self._load(fd)
        bound = dict.fromkeys(names, value)
        bound |= {name: value[name] for name in item_names or ()}
        self.data_names.update(bound)
        self.shell.user_ns.update(bound)
        self.variables.note(list(bound))
        return self.variables.told(next(iter(bound)))

    def _read_files(self, name: str) -> dict[str, Any]:
        """Read the small files whose paths are in a variable, each into a variable of its own where that is free."""
        from ..values.files.reading import read_planned

        told: list[str] = []
        found = read_planned(self.shell.user_ns[name], told.append)
        free = {key: value for key, value in found.items() if key not in self.data_names}
        self.data_names.update(free)
        self.shell.user_ns.update(free)
        self.variables.note(list(free))
        return {"names": list(free), "told": told}

    def _bind_helpers(self, question: str) -> dict[str, Any]:
        """Bind what a first look uses, where the names are free; tell which they are, and what the data's lines are."""
        namespace = self.shell.user_ns
        wanted: dict[str, Any] = {"describe": self.describe, "classify": self.classify}
        wanted |= {helper.__name__: helper for helper in _HELPERS}
        wanted |= dict.fromkeys(("Final", "final"), self.FINAL)
        words = self.variables.words
        free = {
            name: item
            for name, item in {**wanted, "question": question}.items()
            if name not in namespace or (name in self.helpers and namespace[name] is words.get(name))
        }
        self._bind_free(free)
        try:
            about = outline_data(namespace.get("context"), question)
        except Exception:  # data of any kind; a look without an outline is a look too
            about = {}
        return {"names": list(free), **about}

    def context_functions(self) -> dict[str, Any]:
        """Returns the functions on the data that cells may call, by name."""
        found = (*_HELPERS, grep, chunks, self.peek, self.describe, self.classify)
        return {function.__name__: function for function in found}

    def _bind_free(self, functions: dict[str, Any]) -> None:
        self.helpers.update(functions)  # what the agent's code makes of these names stays
        self.variables.words |= functions
        self.shell.user_ns.update(functions)

    def peek(self, value: Any, start: int = 0, size: int = 2000) -> Nothing:
        """Print a part of a text with its place, or what another value is.

        Args:
            value: a text; of any other object a description is printed.
            start: its first character.
            size: characters.
        """
        if not isinstance(value, str):
            return self.describe(value)
        part = value[max(0, start) : max(0, start) + size]
        print(f"[characters {start:,} to {start + len(part):,} of {len(value):,}]\n{part}")  # noqa: T201
        return Nothing()

    def classify(self, texts: Any, labels: Sequence[str]) -> list[str | None]:
        """Returns a label for each text, chosen by a model by the meaning; see `label_texts`."""
        return label_texts(texts, labels, self.llm_query_batched)

    def _take_tool(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        name = body["name"]
        tool = self.tools.take(name, body["forms"], fds, body["python"])
        self.data_names.add(name)  # what the agent's code makes of that name stays
        self.variables.words[name] = self.shell.user_ns[name] = tool
        return {}

    def _take_check(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        name = body["name"]
        self.checks.add(name, self.tools.make(name, body["forms"], fds, body["python"]))
        return {}

    def _export(self, body: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        name, current = body["name"], self.variables.current()
        if name not in current:
            raise error_of("missing", f"There is no variable `{name}`.", data=list(current))
        left_out: list[str] = []
        try:
            fd, kind = codec.dump(
                current[name],
                allow_pickle=bool(body.get("allow_pickle")),
                name=name,
                left_out=left_out,
                figures=body.get("figures", True) is not False,
            )
        except codec.Unencodable as error:
            raise error_of("unencodable", str(error)) from None
        try:
            return {"description": self._describe(current[name], left_out), "kind": kind}, [fd]
        except BaseException:
            os.close(fd)
            raise


def _here() -> Guest:
    """Returns the guest of this kernel."""
    return _guests[-1]


def _has_mappings() -> bool:
    """Whether values are mapped into this process; True where that cannot be told."""
    try:
        with open("/proc/self/maps", "rb") as maps:  # noqa: PTH123 - no import for one line
            return b"/memfd:" in maps.read()
    except OSError:
        return True


def install(shell: Any, fd: int | None) -> Guest:
    """Begin: put the words into the namespace of `shell`.

    Args:
        shell: of IPython.
        fd: the inherited socket; None if there is none, to use the control channel.
    """
    guest = Guest(shell, fd)
    _guests.append(guest)
    allow_nested_asyncio_run()
    return guest
