"""Which outside programs a piece of Python or of shell runs or looks for, as far as its text says so."""

import ast
import re
import shlex
import textwrap

STARTERS = {
    *("which", "run", "Popen", "call", "check_call", "check_output", "getoutput", "getstatusoutput"),
    *("create_subprocess_exec", "create_subprocess_shell", "system", "popen", "posix_spawn", "posix_spawnp"),
    *("spawn", "spawnv", "spawnve", "spawnvp", "spawnvpe", "spawnl", "spawnlp", "spawnlpe"),
    *("execv", "execve", "execvp", "execvpe", "execl", "execle", "execlp", "execlpe"),
}
MODULES = {"subprocess", "asyncio", "os", "pty", "shutil"}
OF_SHELL = {"getoutput", "getstatusoutput", "create_subprocess_shell", "system", "popen"}
MODE_FIRST = {"spawnv", "spawnve", "spawnvp", "spawnvpe", "spawnl", "spawnlp", "spawnlpe"}
SHELLS = {"sh", "bash", "dash", "/bin/sh", "/bin/bash"}

# ------------------------------------------------------------------------------------------------- Python


def of_python(source: str) -> set[str]:
    """Returns the programs that Python code names: to `subprocess` and its like, and in code that is a text in it."""
    tree = ast.parse(source)
    scan = _Scan(tree)
    scan.visit(tree)
    return {name.rsplit("/", 1)[-1] for name in scan.found}


class _Scan(ast.NodeVisitor):
    """Collects `found`; knows the literals that the file gives to names, and what it imports by name."""

    def __init__(self, tree: ast.AST) -> None:
        self.found: set[str] = set()
        self.values: dict[str, list[ast.expr]] = {}
        self.imported: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        self.values.setdefault(target.id, []).append(node.value)
            elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
                self.imported |= {alias.asname or alias.name: alias.name for alias in node.names}

    def visit_Call(self, node: ast.Call) -> None:
        name = self._starter(node.func)
        if name and node.args:
            shell = name in OF_SHELL or any(
                word.arg == "shell" and isinstance(word.value, ast.Constant) and word.value.value
                for word in node.keywords
            )
            listed = name.startswith(("create_subprocess_exec", "exec", "spawnl"))
            first = node.args[1:] if name in MODE_FIRST else node.args
            command = ast.List([*first], ast.Load()) if listed else first[0]
            self._command(command, shell=shell)
        elif isinstance(node.func, ast.Name) and node.func.id == "map" and self._starter(node.args[0]):
            for value in self._resolved(node.args[1]):
                for part in getattr(value, "elts", ()):
                    self._command(part, shell=False)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._text(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._text(_of_format(node))

    def _starter(self, function: ast.expr) -> str | None:
        """Returns the name of a function that runs or looks for a program."""
        if isinstance(function, ast.Name):
            name = self.imported.get(function.id)
            return name if name in STARTERS else None
        if not isinstance(function, ast.Attribute) or function.attr not in STARTERS:
            return None
        of = function.value
        # `policy.shutil.which`, `asyncio.subprocess`: the last name before the dot.
        module = of.attr if isinstance(of, ast.Attribute) else getattr(of, "id", "")
        return function.attr if module in MODULES else None

    def _resolved(self, node: ast.expr) -> list[ast.expr]:
        """Returns what the file gives to a name, once: `command = [*command, "more"]` names itself."""
        return self.values.pop(node.id, []) if isinstance(node, ast.Name) else [node]

    def _command(self, node: ast.expr, *, shell: bool) -> None:
        for command in self._resolved(node):
            if isinstance(command, ast.Starred):
                self._command(command.value, shell=shell)
            elif isinstance(command, ast.Call) and isinstance(command.func, ast.Attribute):
                if command.func.attr == "split":
                    self._command(command.func.value, shell=True)
            elif isinstance(command, ast.JoinedStr):
                self.found |= of_shell(_of_format(command)) if shell else set()
            elif isinstance(command, ast.Constant) and isinstance(command.value, str):
                self.found |= of_shell(command.value) if shell else {command.value}
            elif isinstance(command, (ast.List, ast.Tuple)) and command.elts:
                self._command(command.elts[0], shell=shell)
                self._script_of_shell(command.elts)

    def _script_of_shell(self, words: list[ast.expr]) -> None:
        if [getattr(word, "value", None) for word in words[:2]] in [[shell, "-c"] for shell in SHELLS]:
            for script in words[2:3]:
                self._command(script, shell=True)

    def _text(self, text: str) -> None:
        """Looks into code that is a text: an agent's cell, a script for another Python."""
        if not any(f"{module}." in text for module in ("subprocess", "asyncio", "os", "pty", "shutil")):
            return
        for code in (text, textwrap.dedent(text), text.replace("{{", "{").replace("}}", "}")):
            try:
                tree = ast.parse(code)
            except (SyntaxError, ValueError):
                continue
            if not (len(tree.body) == 1 and _is_text(tree.body[0])):
                self.found |= of_python(code)
                return
        # Code with an IPython magic, or a piece of some.
        self.found |= set(re.findall(rf"\b(?:{'|'.join(STARTERS)})\(\[?['\"]([\w./-]+)['\"]", text))


def _of_format(node: ast.JoinedStr) -> str:
    """Returns an f-string's text; what is put in is not a program that this file names."""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "_" for part in node.values)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


# -------------------------------------------------------------------------------------------------- shell

BEFORE = {"if", "then", "else", "elif", "do", "while", "until", "time", "exec", "!", "{"}
"""Words after which a command begins."""
BUILTINS = BEFORE | {
    *(
        "alias",
        "break",
        "case",
        "cd",
        "command",
        "continue",
        "declare",
        "done",
        "echo",
        "esac",
        "eval",
        "exit",
    ),
    *(
        "export",
        "false",
        "fi",
        "for",
        "function",
        "hash",
        "in",
        "kill",
        "let",
        "local",
        "printf",
        "popd",
        "pushd",
    ),
    *("pwd", "read", "return", "select", "set", "shift", "source", "test", "trap", "true", "type", "ulimit"),
    *("umask", "unset", "wait"),
}


NO_COMMANDS = [
    (r"\\\n", " "),  # a line that goes on
    (r"^(\s*)\w+\(\)", r"\1"),  # the head of a function
    (r"^\s*[\w'*#| -]*\)(?=\s|$)", ""),  # a label of `case`
    (r"\$\(\([^()]*\)\)", "0"),  # arithmetic
]


def of_shell(script: str) -> set[str]:
    """Returns the programs that a shell's script runs, or asks for with `command -v`; not its own functions."""
    own = set(re.findall(r"^\s*(\w+)\(\)", script, re.MULTILINE))
    for pattern, instead in NO_COMMANDS:
        script = re.sub(pattern, instead, script, flags=re.MULTILINE)
    found: set[str] = set()
    for line in script.splitlines():
        found |= _of_line(line)
    return {name for name in found if name not in own | BUILTINS and re.fullmatch(r"[A-Za-z][\w.-]*", name)}


def _of_line(line: str) -> set[str]:
    found = {name.rsplit("/", 1)[-1] for name in re.findall(r"command -v ([\w./-]+)", line)}
    for quoted in re.findall(r"\$\(([^()]*)", line):  # substitutions, also within quotes
        found |= _of_words(quoted)
    return found | _of_words(line)


def _of_words(text: str) -> set[str]:
    words = shlex.shlex(text, posix=True, punctuation_chars="();&|`")
    words.whitespace_split, words.commenters = True, "#"
    found, begins = set(), True
    try:
        for word in words:
            if set(word) <= set("();&|`"):
                begins = word != "&" or begins
            elif begins and (word in BEFORE or re.match(r"\w+=", word)):
                pass
            elif begins:
                found.add(word if word.startswith((".", "$")) else word.rsplit("/", 1)[-1])
                begins = False
    except ValueError:
        pass  # a quotation that goes on in the next line, in which no command begins
    return found
