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
_CELL_MAGIC = re.compile(r"\s*%%(\w+)")
_WORD = re.compile(r"[%!]{0,2}[ \t]*([\w.~/$-]*)")
_HELP = re.compile(r"(?P<before>\?{0,2})(?P<name>[\w.*%]+?)(?P<after>\?{0,2})[ \t]*\r?")
_LINE_MAGICS = frozenset(
    """
    alias autoawait autocall autoindent automagic autoreload bookmark cat cd colors conda config cp debug dhist
    dirs edit env history killbgscripts ldir less load load_ext loadpy logoff logon logstart logstate logstop ls
    lsmagic lx macro magic mamba man matplotlib memit micromamba mkdir more mprun mv notebook page pastebin pdb
    pdef pdoc pfile pinfo pinfo2 pip popd pprint precision prun psearch psource pushd pwd pycat pylab quickref
    recall rehashx reload_ext rep rerun reset reset_selective rm rmdir run save sc set_env sql store sx system tb
    time timeit unalias unload_ext uv who who_ls whos xdel xmode lprun R
    """.split()  # noqa: SIM905 - it is read more easily
)
_CELL_MAGICS = _LINE_MAGICS | frozenset(
    """
    HTML SVG bash capture cython file html javascript js latex markdown perl pypy python python2 python3 ruby
    script sh svg writefile
    """.split()  # noqa: SIM905
)
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
    magic = _CELL_MAGIC.match(code)
    if magic:
        return code if certain and magic[1] not in _CELL_MAGICS else "_ipython_()"
    return _LINE.sub(_certain_call if certain else _as_call, code)


def _as_call(match: re.Match[str]) -> str:
    return f"{match['indent'] if match['target'] is None else match['target']}_ipython_()"


def _certain_call(match: re.Match[str]) -> str:
    line = match[0][len(match["indent"] if match["target"] is None else match["target"]) :]
    return _as_call(match) if _is_certain(line) else match[0]


def _is_certain(line: str) -> bool:
    word = _WORD.match(line)
    if line.startswith("!"):
        return word is not None and (
            word[1] in _COMMANDS or re.match(r"(?:\.{1,2}|~)?/\w", word[1]) is not None
        )
    if line.startswith("%") and not line.rstrip().endswith("?"):
        return not line.startswith("% ") and word is not None and word[1] in _LINE_MAGICS
    asked = _HELP.fullmatch(line)
    if asked is None:
        return False
    if asked["before"] or re.search(r"[._*%\d]", asked["name"]):
        return True
    name = asked["name"]
    return name.islower() and len(name) <= _LONGEST_NAME and name not in _QUESTIONS
