"""Lines of IPython (`%time x`, `!ls`, `df?`): in a block that says it is code, and where nothing says so.

Outside of such a block `![chart](x.png)` is an image, `Sure?` a question and `% of all` a heading: only lines that
can be nothing else count as code there.
"""

from __future__ import annotations

import re

_LINE = re.compile(
    r"^(?P<indent>[ \t]*)(?:[%!][^\n]*|\?{1,2}[\w.*%]+[ \t]*|[\w.*%]+\?{1,2}[ \t]*)\r?$"
    r"|^(?P<target>[ \t]*\w[\w, \t]*=[ \t]*)[%!][^\n]*$",
    re.MULTILINE,
)
_CELL_MAGIC = re.compile(r"\s*%%\w")
_WORD = re.compile(r"!{1,2}[ \t]?([\w.~/$-]*)")
_HELP = re.compile(r"(?P<before>\?{0,2})(?P<name>[\w.*%]+?)(?P<after>\?{0,2})[ \t]*\r?")
_LINE_MAGIC = re.compile(r"%(?:[A-Za-z_]\w{2,}|cd|cp|ls|mv|rm|sc|sx|tb|uv|R)(?=[ \t\r]|\Z)")
_SHELL_SIGNS = re.compile(
    r"[a-z][\w.-]*[ \t](?:.*[ \t])?(?:-{1,2}\w|[|<>$*~\"']|\S*[/.]\w)|[\w.~-]*/[\w.]|exit\b"
)
"""A command that is not among the known ones, with what only a shell reads after it, or a path."""
_COMMANDS = frozenset(
    """
    apt apt-get awk base64 bash cal cat cd chmod conda cp curl cut date df diff docker du echo egrep env export
    false file find free gcc git grep gunzip gzip head hostname id jq kill less ln ls lscpu make man md5sum mkdir
    more mv nano node nproc npm nvidia-smi perl pip pip3 printf ps pwd python python3 rg rm rmdir ruby sed seq sh
    sha256sum sleep sort sqlite3 stat strings tail tar tee test time top touch tr tree true uname uniq unzip uv wc
    wget which whoami xargs xxd zcat zgrep zip
    """.split()  # noqa: SIM905
)
_QUESTIONS = frozenset(
    """
    a all and any ask but eh he hm hmm how huh i is it me my no not now ok or see she so sum the too us we who why ya
    yep yes yet you
    """.split()  # noqa: SIM905
)
_LONGEST_NAME = 3


def is_cell_magic(code: str) -> bool:
    """Returns whether a cell begins with a cell magic, so that its body may be of any language."""
    return _CELL_MAGIC.match(code) is not None


def as_python(code: str, *, certain: bool = False) -> str:
    """Returns code with a call in the place of each line of IPython.

    Args:
        code: of a cell.
        certain: whether to take only lines that can be nothing else; the others stay, and are not Python.
    """
    if is_cell_magic(code):
        return "_ipython_()"
    return _LINE.sub(_certain_call if certain else _as_call, code)


def _as_call(match: re.Match[str]) -> str:
    return f"{match['indent'] if match['target'] is None else match['target']}_ipython_()"


def _certain_call(match: re.Match[str]) -> str:
    if match["target"] is not None:
        certain = re.match(r"[%!]{1,2}[\w./~]", match[0][len(match["target"]) :]) is not None
    else:
        certain = _is_certain(match[0][len(match["indent"]) :])
    return _as_call(match) if certain else match[0]


def _is_certain(line: str) -> bool:
    if line.startswith("!"):
        word = _WORD.match(line)
        return word is not None and (
            word[1] in _COMMANDS or _SHELL_SIGNS.match(line[word.start(1) :]) is not None
        )
    if _LINE_MAGIC.match(line):
        return True
    asked = _HELP.fullmatch(line)
    if asked is None:
        return False
    if asked["before"] or re.search(r"[._*%\d]", asked["name"]):
        return True
    name = asked["name"]
    return name.islower() and len(name) <= _LONGEST_NAME and name not in _QUESTIONS
