"""The cells that the demo writes for texts: count or collect what a regular expression matches."""

from __future__ import annotations

from rlm_jupyter.demo_model.literals import title
from rlm_jupyter.demo_model.plan import Part, Plan
from rlm_jupyter.demo_model.table_cells import PARTS, cell, handed_on
from rlm_jupyter.demo_model.table_look import Seen

_KINDS = {"matches": "dict", "lines": "list"}


def part_of_texts(plan: Plan, *, documents: bool) -> Part:
    """Returns what a sub-agent does with a part of the texts."""
    kind = "matches" if plan.kind == "matches" else "lines"
    return Part("matches" if kind == "matches" else "lines", pattern=plan.pattern, documents=documents)


def found_in(part: Part, code: str = "context") -> str:
    """Returns the code for what the pattern of a part matches in one text, or in each of a dict of texts."""
    pattern = repr(part.pattern)
    if part.kind == "matches":
        if part.documents:
            return f"{{name: len(re.findall({pattern}, text, re.M)) for name, text in {code}.items()}}"
        return f"len(re.findall({pattern}, {code}, re.M))"
    if part.documents:
        return (
            f"[(name, number, line.strip()[:200]) for name, text in {code}.items()\n"
            f'         for number, line in enumerate(text.split("\\n"), 1) if re.search({pattern}, line)]'
        )
    return (
        f"[(number, line.strip()[:200])\n"
        f'         for number, line in enumerate({code}.split("\\n"), 1) if re.search({pattern}, line)]'
    )


def alone(part: Part, seen: Seen) -> str:
    """Returns the cell that searches the texts itself."""
    imports = (
        "import re" if part.kind == "matches" and not part.documents else "import re\nimport pandas as pd"
    )
    first = _first(part, seen)
    return cell(
        imports, seen.prepare.rstrip("\n"), first, f"hits = {found_in(part, seen.code)}", *_shown(part)
    )


def _first(part: Part, seen: Seen) -> str:
    """Returns the line that shows how the first of the documents begins; a text was shown by the look."""
    return f"print([(name, text[:200]) for name, text in {seen.code}.items()][:1])" if part.documents else ""


def _shown(part: Part) -> tuple[str, ...]:
    if part.kind == "lines":
        columns = ["document", "line", "text"] if part.documents else ["line", "text"]
        return (
            f"lines = pd.DataFrame(hits, columns={columns})",
            'print(len(lines), "lines")',
            "lines.head(12)",
        )
    if not part.documents:
        return ('print(hits, "matches")',)
    return (
        'counts = pd.Series(hits, name="matches").sort_values(ascending=False, kind="stable")',
        'print(counts.sum(), "matches")',
        "counts.head(12)",
    )


def spread(part: Part, seen: Seen) -> str:
    """Returns the cell that hands parts of the texts to sub-agents."""
    if part.documents:
        cut = f"items[i * len(items) // {PARTS}:(i + 1) * len(items) // {PARTS}]"
        lines: tuple[str, ...] = (
            f"items = list({seen.code}.items())",
            f"parts = [dict({cut}) for i in range({PARTS})]"
            if seen.documents >= PARTS
            else "parts = [{name: text} for name, text in items]",
        )
    else:
        lines = (
            f'pieces = {seen.code}.split("\\n")',
            f"size = -(-len(pieces) // {PARTS})",
            'parts = ["\\n".join(pieces[i:i + size]) for i in range(0, len(pieces), size)]',
        )
    return cell(seen.prepare.rstrip("\n"), _first(part, seen), *lines, *handed_on(part, _type(part)))


def _type(part: Part) -> str:
    return _KINDS[part.kind] if part.documents or part.kind == "lines" else "int"


def joined(part: Part, failed: list[int]) -> str:
    """Returns the cell that puts together what sub-agents found, and what they did not in their places."""
    mended = [f"found[{i}] = {found_in(part, f'parts[{i}]')}" for i in failed]
    if part.kind == "matches":
        together = (
            "{name: number for part in found for name, number in part.items()}"
            if part.documents
            else "sum(found)"
        )
    elif part.documents:
        together = "[hit for part in found for hit in part]"
    else:
        together = "[(at * size + number, line) for at, part in enumerate(found) for number, line in part]"
    pandas = "import re\nimport pandas as pd" if mended else "import pandas as pd"
    imports = "" if part.kind == "matches" and not part.documents and not mended else pandas
    return cell(imports, *mended, f"hits = {together}", *_shown(part))


def halves(part: Part) -> str:
    """Returns the cell in which a sub-agent hands both halves of its documents on."""
    return cell(
        "items = list(context.items())",
        "half = len(items) // 2",
        "parts = [dict(items[:half]), dict(items[half:])]",
        *handed_on(part, _type(part)),
    )


def part_of_halves(part: Part) -> str:
    """Returns the cell that makes a sub-agent's answer of those of its halves."""
    return cell(f"total = found[0] {'|' if part.kind == 'matches' else '+'} found[1]", "FINAL(total)")


def sizes(seen: Seen) -> str:
    """Returns the cell that measures the texts."""
    code = seen.code if seen.kind == "documents" else f'{{"the text": {seen.code}}}'
    return cell(
        "import pandas as pd",
        seen.prepare.rstrip("\n"),
        f"sizes = [(name, len(text.splitlines()), len(text)) for name, text in {code}.items()]",
        'profile = pd.DataFrame(sizes, columns=["document", "lines", "characters"])',
        'profile = profile.sort_values("characters", ascending=False, ignore_index=True)',
        'print(len(profile), "documents")',
        "profile.head(12)",
    )


def chart(plan: Plan) -> str:
    """Returns the cell that draws how often documents match."""
    return cell(
        'bars = counts.head(12).rename(index=lambda name: str(name)[:30].replace("$", r"\\$"))',
        f"axes = bars.plot.bar(figsize=(7, 3.5), title={title(plan.words)})",
        "axes.figure.tight_layout()",
        'print("drawn")',
    )
