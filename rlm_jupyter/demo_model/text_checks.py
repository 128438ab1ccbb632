"""The cells in which the demo checks what it found in texts, before it answers: line by line, with examples."""

from __future__ import annotations

from rlm_jupyter.demo_model import text_answers as answers
from rlm_jupyter.demo_model.check_results import SECOND, WHOLE
from rlm_jupyter.demo_model.plan import Part, Plan
from rlm_jupyter.demo_model.table_cells import cell
from rlm_jupyter.demo_model.table_look import Seen


def matches(plan: Plan, part: Part, seen: Seen) -> str:
    """Returns the cell that counts the matches of one document again, line by line, and shows some of these lines."""
    pattern = repr(part.pattern)
    own, number = seen.code, "hits"
    before: tuple[str, ...] = ()
    if part.documents:
        own, number = f"{seen.code}[top]", "number"
        before = (
            *answers.top_document(plan).splitlines(),
            f'print("{WHOLE}:", len(counts) == len({seen.code}))',
        )
    return cell(
        "import re",
        *before,
        f'own = {own}.split("\\n")',
        f"again = sum(len(re.findall({pattern}, line)) for line in own)",
        f'print("{SECOND}:", {number} == again)',
        f"[line.strip()[:80] for line in own if re.search({pattern}, line)][:5]",
    )


def lines(part: Part, seen: Seen) -> str:
    """Returns the cell that looks up the first lines that were collected, by their numbers."""
    if not part.documents:
        return cell(
            f'own = {seen.code}.split("\\n")',
            "again = [own[at - 1].strip()[:200] for at, _ in lines.head(5).itertuples(index=False)]",
            f'print("{SECOND}:", again == lines["text"].head(5).tolist())',
            "lines.tail(3)",
        )
    return cell(
        f'again = [{seen.code}[name].split("\\n")[at - 1].strip()[:200]',
        "         for name, at, _ in lines.head(5).itertuples(index=False)]",
        f'print("{SECOND}:", again == lines["text"].head(5).tolist())',
        'lines["document"].value_counts().head(5)',
    )


def sizes(seen: Seen) -> str:
    """Returns the cell that adds the lengths of the texts up again, without their table."""
    again = f"sum(map(len, {seen.code}.values()))" if seen.kind == "documents" else f"len({seen.code})"
    return cell(
        f"again = {again}",
        f'print("{SECOND}:", profile["characters"].sum() == again)',
        'print("without any text:", profile.loc[profile["characters"] == 0, "document"].tolist()[:10])',
        'profile[["lines", "characters"]].describe().round(1)',
    )


def part_cell(part: Part, found: str) -> str:
    """Returns the cell in which a sub-agent looks at its texts, searches them, and shows what it found."""
    if part.documents:
        look = 'print(len(context), "documents,", sum(map(len, context.values())), "characters")'
    else:
        look = 'print(len(context), "characters,", context.count("\\n") + 1, "lines")'
    if part.kind == "lines":
        shown = 'print(len(total), "lines, such as", total[:2])'
    elif part.documents:
        shown = (
            'print(sum(total.values()), "matches, at most", max(total.values(), default=0), "in a document")'
        )
    else:
        shown = f'print(total, "matches, such as", re.findall({part.pattern!r}, context, re.M)[:2])'
    return cell("import re", look, f"total = {found}", shown, "FINAL(total)")
