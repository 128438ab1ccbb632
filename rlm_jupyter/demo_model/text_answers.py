"""The last cells for texts: what was found, as an answer of a few keys."""

from __future__ import annotations

from rlm_jupyter.demo_model.literals import in_text
from rlm_jupyter.demo_model.plan import Part, Plan
from rlm_jupyter.demo_model.table_answers import final
from rlm_jupyter.demo_model.table_look import Seen


def top_document(plan: Plan) -> str:
    """Returns the line that takes the sum of `counts`, and its first or last document."""
    at = "-1" if plan.least else "0"
    return f"total, (top, number) = int(counts.sum()), list(counts.items())[{at}]"


def found(plan: Plan, part: Part, seen: Seen, chart: str, remark: str) -> str:
    """Returns the code that answers with what was found: `lines`, `hits`, or `top` and `number` of `total`."""
    remark = plan.remark + remark
    drawn = ('"chart": axes.figure',) if chart else ()
    said = in_text(plan.words)
    if part.kind == "lines":
        where = (
            f", in {{lines['document'].nunique():,}} of {seen.documents:,} documents"
            if part.documents
            else ""
        )
        return final(
            f"{{len(lines):,}} lines with {said}{where}.",
            '"total": len(lines), "table": lines',
            remark=remark,
        )
    if not part.documents:
        return final(f"{{hits:,}} matches of {said}.", '"total": hits', remark=remark)
    word = "fewest" if plan.least else "most"
    text = (
        f"{{total:,}} matches of {said} in {{(counts > 0).sum():,}} of {{len(counts):,}} documents; "
        f"{word} in {{top}}: {{number:,}}."
    )
    items = (f'"total": total, "{word}": top, "{word}_matches": number', '"table": counts', *drawn)
    return final(text, *items, remark=remark)


def measured(plan: Plan, seen: Seen, remark: str = "") -> str:
    """Returns the code that answers with `profile`, the sizes of the texts."""
    text = "{len(profile):,} documents, {profile['lines'].sum():,} lines, {profile['characters'].sum():,} characters"
    if seen.documents > 1:
        text += "; the longest is {profile['document'][0]}: {profile['characters'][0]:,}"
    items = (
        '"documents": len(profile), "lines": int(profile["lines"].sum())',
        '"characters": int(profile["characters"].sum()), "table": profile',
    )
    return final(f"{text}.", *items, remark=remark + plan.remark)
