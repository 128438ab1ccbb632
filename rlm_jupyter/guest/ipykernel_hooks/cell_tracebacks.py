"""Tracebacks of cells, written for a model: the agent's own lines, one line for the libraries, the error last.

Travels as source into any Python kernel: standard library only.
IPython's own renderer shows wrong lines: IPython 9 takes cells for files that are too long, as they are no files, and
finds their lines by `inspect.getsourcelines`, which knows no beginning of a comprehension or a class body; IPython 8
does so if the error is in a long file of a library (https://github.com/ipython/ipython/issues/13598). Here the lines
are those that were compiled, by the numbers that the traceback holds.
"""

from __future__ import annotations

import linecache
import os
import sys
from typing import TYPE_CHECKING, Any

from ...values.describe.short_text import cut_notice

if TYPE_CHECKING:
    import types
    from collections.abc import Iterator

    _Place = tuple[types.CodeType, int]

_HEADER = "Traceback (most recent call last):"
_LONGEST_LINE = 160
_LONGEST_ERROR = 1_000  # characters of an exception's own text
_LONGEST_OF_OURS = 2_000  # such as all that is wrong with an answer
_LONGEST_FURTHER = 300  # of one that led to it, or is part of it
_OWN_FRAMES = 6  # that are shown of one exception: the first ones and the last ones
_CHAIN = 3  # exceptions that led to it
_PARTS = 5  # exceptions of a group
_CAUSE = "The exception above was the direct cause of this one:"
_CONTEXT = "While the exception above was handled, another one occurred:"
_FOLD = "... "
_INLINE = ("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>", "<lambda>")
_OURS = ("_rlm", "rlm_jupyter", "IPython", "ipykernel")


def compiled_lines(code: str) -> list[str]:
    r"""Returns the lines of a source as Python's parser counts them: a form feed or a `\u2028` ends none."""
    lines = code.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [line + "\n" for line in lines]


def install(shell: Any) -> None:
    """Let a shell of IPython render its tracebacks this way."""
    tracebacks = _Tracebacks(shell)
    cache = shell.compile.cache

    def cache_lines(transformed_code: str, *args: Any, **options: Any) -> Any:
        name = cache(transformed_code, *args, **options)
        entry = linecache.cache.get(name)
        if entry is not None and len(entry) > 1:  # IPython's were split where `str.splitlines` splits
            lines = compiled_lines(transformed_code)
            linecache.cache[name] = (len(transformed_code), None, lines, name)
        return name

    def render(_kind: Any, value: Any, trace: Any = None, *_: Any, **__: Any) -> list[str]:
        return tracebacks.entries(value, trace)

    def render_syntax(_kind: Any, value: Any, stack: Any = (), *_: Any, **__: Any) -> list[str]:
        return tracebacks.entries(value, value.__traceback__ if stack else None)  # no stack: nothing ran

    shell.compile.cache = cache_lines
    shell.InteractiveTB.structured_traceback = render
    shell.SyntaxTB.structured_traceback = render_syntax
    show = shell.showtraceback

    def showtraceback(exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        kind, value, trace = exc_tuple if isinstance(exc_tuple, tuple) else sys.exc_info()
        if _parts(
            value
        ):  # IPython prints groups, with its own frames, and leaves the reply without a traceback
            shell._showtraceback(kind, value, tracebacks.entries(value, trace))  # noqa: SLF001 - IPython's hook
        else:
            show(exc_tuple, *args, **options)

    shell.showtraceback = showtraceback


class _Tracebacks:
    """Renders exceptions with the cells of one shell.

    Args:
        shell: of IPython.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def entries(self, value: BaseException, trace: types.TracebackType | None) -> list[str]:
        """Returns the traceback of an exception, with what led to it before it; all is one entry."""
        said = {_error_text(value, _LONGEST_FURTHER)}
        parts: list[str] = []
        shown = 0
        for link, words in reversed(list(_chain(value))):  # what came first is shown first
            text = _error_text(link, _LONGEST_FURTHER)
            frames = self._frames(link.__traceback__)
            own = any(map(self._is_rendered, frames))
            # An error that a library met inside of itself is told only if it says something else.
            if (not own and text in said) or shown >= _CHAIN:
                continue
            said.add(text)
            shown += 1
            parts += [*(frames if own else ()), text, "", words]
        parts += self._frames(trace)
        if parts:
            parts.insert(0, _HEADER)
        return ["\n".join(parts + self._error(value))]

    @staticmethod
    def _is_rendered(frame: str) -> bool:
        return not frame.startswith(_FOLD)

    def _frames(self, trace: types.TracebackType | None) -> list[str]:
        """Render frames: those of the agent's code, the innermost with the lines around; others are counted."""
        places: list[_Place | list[str]] = []
        while trace is not None:
            frame, module = trace.tb_frame, _module(trace.tb_frame)
            last = places[-1] if places else None
            if self._is_own(frame):
                place = (frame.f_code, trace.tb_lineno)
                if isinstance(last, tuple) and _is_part(place, last):
                    places.pop()
                    place = last  # a comprehension in the line that was just shown
                places.append(place)
            elif module in _OURS:
                pass
            elif isinstance(last, list):
                last.append(module)
            else:
                places.append([module])
            trace = trace.tb_next
        own = [number for number, place in enumerate(places) if isinstance(place, tuple)]
        half = _OWN_FRAMES // 2
        hidden = own[half:-half]  # of a recursion, or of many callbacks
        shown = [
            _folded(place) if isinstance(place, list) else self._frame(*place, around=number == own[-1])
            for number, place in enumerate(places)
            if not hidden or not hidden[0] <= number <= hidden[-1]
        ]
        if hidden:
            plural = "s" * (len(hidden) > 1)
            shown.insert(hidden[0], f"{_FOLD}{len(hidden):,} more frame{plural} of your code ...")
        return shown

    def _is_own(self, frame: types.FrameType) -> bool:
        name = frame.f_code.co_filename
        if name in self._cells():
            return True
        if _in_working_directory(name):
            return True  # a module that the agent wrote
        if not name.startswith("<") or name.startswith(("<frozen ", "<_rlm", "<__array_function__")):
            return False
        # What `exec` ran; libraries use it too (named tuples, dataclasses), in modules of their own.
        return frame.f_globals.get("__name__") in (None, "__main__", "builtins")

    def _cells(self) -> dict[str, int]:
        found = getattr(self._shell.compile, "_filename_map", None)
        return found if isinstance(found, dict) else {}

    def _place(self, name: str, line: int) -> str:
        number = self._cells().get(name)
        if number is not None:
            return f"Cell In[{number}], line {line}"
        shown = os.path.relpath(name) if _in_working_directory(name) else name
        return f"File {_clip(shown, 80)}:{line}"

    def _frame(self, code: types.CodeType, line: int, *, around: bool) -> str:
        function = "" if code.co_name == "<module>" else f", in {getattr(code, 'co_qualname', code.co_name)}"
        lines = linecache.getlines(code.co_filename)
        text = [f"{self._place(code.co_filename, line)}{_clip(function, 100)}"]
        for number in range(max(1, line - around), line + around + 1):
            if number <= len(lines) and (number == line or lines[number - 1].strip()):
                arrow = "-" * max(1, 5 - len(str(number))) + "> " if number == line else ""
                source = _clip(lines[number - 1].rstrip(), _LONGEST_LINE)
                text.append(f"{f'{arrow}{number}':>7} {source}")
        return "\n".join(text)

    def _error(self, value: BaseException) -> list[str]:
        parts = list(self._syntax(value)) if isinstance(value, SyntaxError) else []
        ours = type(value).__module__.partition(".")[0] in _OURS
        parts.append(_error_text(value, _LONGEST_OF_OURS if ours else _LONGEST_ERROR))
        notes = getattr(value, "__notes__", None)
        if isinstance(notes, list):
            parts += [_clip(note, _LONGEST_FURTHER) for note in notes[:_PARTS] if isinstance(note, str)]
        group = _parts(value)
        for number, part in enumerate(group[:_PARTS], 1):
            frames = list(filter(self._is_rendered, self._frames(part.__traceback__)))
            parts += [f"Part {number} of {len(group)}:", *frames[-1:], _error_text(part, _LONGEST_FURTHER)]
        return parts

    def _syntax(self, value: SyntaxError) -> Iterator[str]:
        """Yields where an error of syntax is: the place, the line, a caret below."""
        line, name = value.lineno, value.filename
        if not isinstance(line, int):
            return
        yield self._place(name if isinstance(name, str) else "<string>", line)
        cached = linecache.getline(name, line) if name in self._cells() else ""
        text = cached or value.text
        if not isinstance(text, str) or not text.strip():
            return
        plain = text.rstrip().lstrip()
        yield f"    {_clip(plain, _LONGEST_LINE)}"
        if isinstance(value.offset, int):
            column = value.offset - 1 - (len(text.rstrip()) - len(plain))
            if 0 <= column <= len(plain) and column < _LONGEST_LINE:
                yield f"    {' ' * column}^"


def _chain(value: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Yields what led to an exception, the newest first, with the words that stand between it and what followed."""
    seen = {id(value)}
    for _ in range(50):
        cause, context = value.__cause__, value.__context__
        link = cause if cause is not None else None if value.__suppress_context__ else context
        if link is None or id(link) in seen:
            return
        seen.add(id(link))
        yield link, _CAUSE if cause is not None else _CONTEXT
        value = link


def _parts(value: Any) -> tuple[BaseException, ...]:
    """Returns the exceptions of a group; Python 3.10 has no groups."""
    group = getattr(sys.modules["builtins"], "BaseExceptionGroup", None)
    return tuple(value.exceptions) if group is not None and isinstance(value, group) else ()


def _error_text(value: BaseException, longest: int) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else kind.__name__
    text = _said(value.msg if isinstance(value, SyntaxError) and value.msg else value)
    return f"{name}: {_clip(text, longest)}" if text else name


def _in_working_directory(name: str) -> bool:
    try:
        here = os.getcwd()  # noqa: PTH109 - paths are strings here
    except OSError:  # it was removed
        return False
    return len(here) > 1 and name.startswith(here + os.sep) and "site-packages" not in name


def _said(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # the agent's class, or a library's
        return "<its text cannot be made>"


def _module(frame: types.FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name.partition(".")[0] if isinstance(name, str) and name else "a library"


def _is_part(place: _Place, around: _Place) -> bool:
    """Whether a place is in a comprehension or a lambda of the line that is shown for the frame around it."""
    (code, line), (outer, outer_line) = place, around
    return code.co_name in _INLINE and (code.co_filename, line) == (outer.co_filename, outer_line)


def _folded(modules: list[str]) -> str:
    """Returns the line in the place of frames of libraries."""
    names = list(dict.fromkeys(_clip(name, 40) for name in modules))
    named = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")  # noqa: PLR2004 - as many as are named
    return f"{_FOLD}{len(modules)} frame{'s' * (len(modules) > 1)} in {named} ..."


def _clip(text: str, width: int) -> str:
    """Keep both ends of a text that is too long."""
    if len(text) <= width:
        return text
    tail = width // 4
    return f"{text[: width - tail]} {cut_notice(len(text) - width)} {text[-tail:]}"
