"""Pages of the documentation site that are made of other files: a hook of MkDocs (`make docs-site`).

The README is the start page, notebooks become pages with the outputs that they were committed with, and runs become
files with the live tree: one of the demo, run for this in a real kernel, and one of a recorded model.
"""

from __future__ import annotations

import html
import json
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
TEXTS = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Page to the file at the root that it is."""
OUTPUT = re.compile(r'<div class="notebook-output" id="output-(\d+)"></div>')

RUNS = """# A run to open

These are runs as files, written by `%rlm export run.html`. They are the live tree without a kernel: open an agent, read
its turns, look at its variables, switch to the timeline.

## The demo

Asked by a script in the place of a language model, when this site was built; its code ran in real kernels.
[Alone on a page](runs/demo.html)

<iframe class="run" src="runs/demo.html" title="A run of the demo model"></iframe>

## A language model

Qwen2.5-Coder-1.5B-Instruct (Q4_K_M; its server called it `qwen`), as it was recorded.
[Alone on a page](runs/recorded.html)

<iframe class="run" src="runs/recorded.html" title="A recorded run of a language model"></iframe>
"""


def notebooks() -> dict[str, Path]:
    """Returns page to notebook."""
    lessons = sorted((ROOT / "notebooks" / "lessons").glob("*.ipynb"))
    others = sorted((ROOT / "notebooks").glob("*.ipynb"))
    return {f"{path.parent.name}/{path.stem}.md": path for path in (*lessons, *others)}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made = {page: _moved((ROOT / source).read_text("utf-8")) for page, source in TEXTS.items()}
    made |= {page: _page_of(path) for page, path in notebooks().items()}
    made |= {"runs.md": RUNS, "runs/demo.html": _demo_run(), "runs/recorded.html": _recorded_run()}
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point links to notebooks at their pages, and take the tests' marks off the fences of code."""
    up = "../" * page.file.src_uri.count("/")
    markdown = re.sub(
        r"\]\((?:\.\./)?notebooks/(?:lessons/)([\w-]+)\.ipynb\)", rf"]({up}lessons/\1.md)", markdown
    )
    markdown = re.sub(r"\]\(notebooks/lessons\)", rf"]({up}lessons/1_what_is_an_rlm.md)", markdown)
    markdown = re.sub(r"^(```+\w+) no-run$", r"\1", markdown, flags=re.MULTILINE)
    return re.sub(r"\]\((?:\.\./)?notebooks/([\w-]+)\.ipynb\)", rf"]({up}notebooks/\1.md)", markdown)


def on_page_content(content: str, page: Page, **_: Any) -> str:
    """Put a notebook's outputs into its page: past Markdown, which would read them as text of its own."""
    path = notebooks().get(page.file.src_uri)
    if path is None:
        return content
    cells = _cells(path)
    return OUTPUT.sub(lambda found: _outputs(cells[int(found[1])]), content)


def _moved(text: str) -> str:
    """Returns a text of the root with its links as they are from `docs/`."""
    text = re.sub(r"\]\(docs/", "](", text).replace('"docs/images/', '"images/')
    names = {source: page for page, source in TEXTS.items()}
    for source, page in names.items():
        text = text.replace(f"]({source})", f"]({page})")
    return text.replace("[MIT licence](LICENSE)", "MIT licence")


@cache
def _cells(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cells"]
    return cells


def _page_of(path: Path) -> str:
    """Returns a notebook as Markdown, with a place for the outputs of each cell."""
    parts = []
    for number, cell in enumerate(_cells(path)):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(re.sub(r"\]\(([\w-]+)\.ipynb\)", r"](\1.md)", source))
            continue
        fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", source)), default=0))
        parts.append(f"{fence}python\n{source}\n{fence}")
        if cell["outputs"]:
            parts.append(f'<div class="notebook-output" id="output-{number}"></div>')
    where = path.relative_to(ROOT).as_posix()
    parts.append(f"*This page is the notebook `{where}`, as it was committed with its outputs.*")
    return "\n\n".join(parts) + "\n"


def _outputs(cell: dict[str, Any]) -> str:
    parts = []
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "text/html" in data:  # of this repository's own notebooks; the tree's is clean of scripts
            parts.append(f'<div class="notebook-html">{"".join(data["text/html"])}</div>')
        else:
            text = "".join(output.get("text") or data.get("text/plain", ""))
            parts.append(f'<pre class="notebook-text">{html.escape(text)}</pre>')
    return f'<div class="notebook-output">{"".join(parts)}</div>'


@cache
def _demo_run() -> str:
    import pandas as pd

    from rlm_jupyter import RLM

    sales = pd.DataFrame({"city": ["Bonn", "Kiel", "Trier", "Ulm"] * 2500, "price": range(10_000)})
    with tempfile.TemporaryDirectory() as place:
        run = RLM(model="demo", log_dir=Path(place) / "logs", cache=False).run(
            "What is the average of price by city?", context=sales, names=("sales",)
        )
        with run.lock:
            page = _exported(run.tree, Path(place))
        run.close()
    return page


@cache
def _recorded_run() -> str:
    from rlm_jupyter.records import load

    log = ROOT / "notebooks" / "lessons" / "recorded" / "sum_amount.jsonl"
    with tempfile.TemporaryDirectory() as place:
        return _exported(load(log).tree, Path(place))


def _exported(tree: Any, place: Path) -> str:
    from rlm_jupyter.export_file import export_run

    return export_run(tree, place / "run.html").read_text("utf-8")
