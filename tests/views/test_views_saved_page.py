"""A run as one file: whole, strict, of bounded size, and with no more in it than its level allows."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from hostile_text import PAYLOADS
from run_story import FRAME, Story, example

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.levels import LEVELS
from rlm_jupyter.events.tree_levels import reduced
from rlm_jupyter.export_file import export_run
from rlm_jupyter.views import saved_page as saved
from rlm_jupyter.views.saved_page import saved_page, static_page

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


class File(HTMLParser):
    """What a browser makes of a file: its elements, the text of scripts and styles, and the policy."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.inside, self.scripts, self.styles, self.policy, self.said = [], [], [], [], "", ""
        self.feed(text)
        self.close()
        assert self.inside == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if attributes.get("http-equiv"):
            self.policy = attributes["content"]
        if tag not in ("meta", "img"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, data):
        kind = self.inside[-1] if self.inside else ""
        if kind == "script":
            self.scripts.append(data)
        elif kind == "style":
            self.styles.append(data)
        else:
            self.said += data

    @property
    def data(self):
        return json.loads(
            self.scripts[0], parse_constant=lambda name: pytest.fail(f"not strict JSON: {name}")
        )


def hash_of(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_file_has_the_run_its_agents_pages_and_prompts():
    file = File(saved_page(example().state))
    assert file.data["run"]["question"] == "Which supplier explains the rise?"
    assert file.data["run"]["saved"] == "all"
    assert list(file.data["agents"]) == ["0", "0.1", "0.2"]
    assert "context.head()" in json.dumps(file.data["details"]["0.1"]["turns"])
    assert file.data["details"]["0.1"]["variables"][0]["rows"] == [["North", "12"], ["South", "7"]]
    assert file.data["prompts"]["0"][0]["content"] == "the question"
    assert saved_page(example().state) == saved_page(example().state), "the same run is the same file"


@pytest.mark.parametrize("make", [saved_page, static_page])
def test_the_policy_allows_the_files_own_script_and_style_by_their_hashes_and_no_request(make):
    file = File(make(example().state))
    assert file.policy.startswith("default-src 'none'; ")
    assert "unsafe" not in file.policy
    assert "http" not in file.policy
    for style in file.styles:
        assert hash_of(style) in file.policy
    for script in file.scripts[1:]:
        assert hash_of(script) in file.policy
    assert ("script-src" in file.policy) == (make is saved_page)
    assert {key for _, attributes in file.elements for key in attributes} <= {
        *("lang", "charset", "http-equiv", "content", "name", "id", "type", "class", "data-run", "open"),
    }


@pytest.mark.parametrize("make", [saved_page, static_page])
def test_nothing_in_a_text_becomes_an_element_or_ends_the_data(make):
    plain = {tag for tag, _ in File(make(example().state)).elements}
    for at, text in enumerate([*PAYLOADS, "<!--<script>", "]]>", "\u2028</script>\u2029<b>", "a\ud83d"]):
        story = Story(text, run=text[:40], model=text, context={"summary": text, "type": text})
        story.agent("0", text, name=text)
        story.turn("0", f"{text}\n```repl\n{text}\n```", text, text)
        story.variables("0", **{text[:100] or "x": {**FRAME, "rows": [[text]], "summary": text}})
        story.tell(ev.Notice, "0", text=text)
        story.end_agent("0", "failed", error=text, value={"summary": text, "preview": text})
        story.end("failed", error=text)
        made = make(story.state)
        made.encode()
        file = File(made)
        assert {tag for tag, _ in file.elements} <= plain | {"blockquote", "table", "tr", "th", "td"}, at
        if make is saved_page:
            assert len(file.scripts) == 2
            assert not set("<>&\u2028\u2029") & set(file.scripts[0])
            assert "0" in file.data["details"]


def marked():
    """A run in which each text says what it is: `ASKED` and `CODE` are not data, `DATA` is."""
    described = {
        "type": "DataFrame",
        "summary": "DATA-summary",
        "bytes": 1234,
        "shape": [3, 2],
        "columns": [{"name": "COLUMN", "dtype": "int64", "nulls": 0, "top": [["DATA-top", 1]]}],
        "rows": [["DATA-row"]],
        "preview": "DATA-preview",
        "items": [{"key": "DATA-key", "summary": "DATA-item"}],
    }
    story = Story("ASKED-run", context=described, sandbox="", context_names=("NAME",))
    story.agent("0", "ASKED-agent", name="NAME", context=described, tools=("NAME",))
    story.prompt("0", "DATA-prompt")
    story.reply("0", "SAID-reply\n```repl\nCODE\n```")
    picture = {"summary": "DATA-picture", "width": 1, "height": 1, "png": PNG}
    story.cell(
        "0", "CODE", "DATA-output", status="error", error="ValueError: DATA-error", pictures=(picture,)
    )
    story.tell(ev.ToolCalled, "0", name="NAME", turn=1, seconds=0.1, ok=False, error="KeyError: DATA-tool")
    story.prompt("0", "DATA-plain", purpose="llm_query")
    story.reply("0", "DATA-answer")
    story.variables("0", NAME=described)
    story.tell(ev.Notice, "0", text="DATA-notice")
    story.tell(ev.Notice, text="DATA-notice")
    story.tell(ev.ValueRejected, "0", reason="DATA-reason")
    story.tell(ev.RunEstimated, runs=3, cost=(0.1, 0.2), why="DATA-directory")
    asked = {"number": 1, "question": "DATA-question", "options": ("DATA-option", "no")}
    story.tell(ev.QuestionAsked, "0", default="DATA-option", seconds=9.0, **asked)
    story.tell(ev.QuestionAnswered, "0", answer="DATA-option", by="default", reason="DATA-reason", **asked)
    story.agent("0.1", "ASKED-agent")
    story.end_agent("0.1", "failed", error="no class here: DATA-error")
    story.end_agent("0", value=described)
    excerpt = {"kind": "text", "text": "DATA-excerpt", "whole": True}
    ending = {"error": "ValueError: DATA-error", "error_type": "ValueError"}
    story.end(value=described, excerpt=excerpt, pictures=(picture,), **ending)
    proof = {"verdict": "differs", "detail": "DATA-proof", "statements": 1, "characters": 2}
    story.tell(ev.CodeProved, of_characters=4, **proof)
    assert story.state.excerpt
    assert story.state.user_answers
    assert story.state.estimate
    assert story.state.proof
    return story.state


TEXTS = re.compile(r"ASKED|SAID|CODE|DATA|COLUMN|NAME|" + re.escape(PNG[:20]))
ALLOWED = {
    "all": {"ASKED", "SAID", "CODE", "DATA", "COLUMN", "NAME", PNG[:20]},
    "redacted": {"ASKED", "SAID", "CODE", "COLUMN", "NAME"},
    "structure": set(),
}


@pytest.mark.parametrize("name", ["run.html", "static.html", "run.ipynb", "run.py"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_file_has_no_more_than_its_level_allows(tmp_path, level, name):
    path = export_run(marked(), tmp_path / name, level=level, static=name == "static.html")
    text = path.read_text("utf-8")
    if name == "run.html":
        text = json.dumps(File(text).data)
    found = set(TEXTS.findall(text))
    assert found <= ALLOWED[level]
    if level == "redacted":
        assert {"ASKED", "CODE"} <= found
    if name.endswith(".html") and level != "all":
        assert LEVELS[level] in path.read_text("utf-8")


def test_the_structure_keeps_states_sizes_times_tokens_and_money():
    before, after = marked(), reduced(marked(), "structure")
    for name in ("status", "started", "finished", "input_tokens", "output_tokens", "cost", "calls", "model"):
        assert getattr(after, name) == getattr(before, name)
    agent = after.agents["0"]
    assert agent.variables == {
        "variable 1": {
            "bytes": 1234,
            "turn": 1,
            "shape": [3, 2],
            "type": "DataFrame",
            "summary": "DataFrame 3 x 2, 1.2 kB",
        }
    }
    assert agent.turns[0].cells[0].code == "# 4 characters left out"
    assert agent.turns[0].cells[0].cut == len("DATA-output")
    assert agent.error is None
    assert after.error == "ValueError: (left out)"
    assert after.agents["0.1"].error == "(left out)"
    assert before == marked(), "the run itself is left as it was"


@pytest.mark.parametrize("level", ["redacted", "structure"])
def test_descriptions_of_any_shape_are_reduced(level):
    story = Story(
        "Why?", context={"type": ["DATA"], "shape": ["DATA", None, 10**30], "bytes": "DATA", "length": {}}
    )
    story.agent(
        "0", context={"type": "DATA DATA", "columns": ["DATA", {"name": ["DATA"], "dtype": "«DATA»"}, 7]}
    )
    story.variables("0", x={"type": 5, "columns": {"name": "DATA"}, "place": "DATA", "turn": True})
    assert "DATA" not in saved_page(story.state, level=level)


def test_many_agents_with_large_texts_make_a_bounded_file_that_says_what_it_left_out():
    story = Story()
    story.agent("0")
    for number in range(1, 101):
        id_ = f"0.{number}"
        story.agent(id_, after=0.01)
        for turn in range(1, 4):
            story.turn(id_, "x" * 20_000, "y = 1\n" * 5_000, "z" * 20_000, turn=turn)
        story.end_agent(id_)
    story.end_agent("0")
    story.end()
    file = File(saved_page(story.state))
    assert len(file.data["agents"]) == len(file.data["details"]) == 101
    assert len(file.scripts[0]) < 1.2 * saved.MAX_BYTES
    assert "characters left out" in file.data["details"]["0.7"]["turns"][0]["reply"]
    small = File(saved_page(story.state, max_bytes=100_000))
    pages = len(small.data["details"])
    assert 1 < pages < 101
    assert len(small.scripts[0]) < 250_000
    assert f"Of 101 agents, {pages} have a page in this file" in small.data["run"]["notices"][0]
    assert "0" in small.data["details"]


def test_of_very_many_agents_the_highest_levels_are_shown(monkeypatch):
    monkeypatch.setattr(saved, "MAX_AGENTS", 4)
    story = Story()
    for id_ in ("0", "0.1", "0.1.1", "0.1.2", "0.2", "0.3"):
        story.agent(id_)
    data = File(saved_page(story.state)).data
    assert list(data["agents"]) == ["0", "0.1", "0.2", "0.3"]
    assert data["run"]["notices"] == ["Of 6 agents, 4 are in this file: the highest levels of the tree."]


def test_of_a_very_deep_tree_the_highest_levels_are_shown_and_all_of_it_is_counted():
    story = Story()
    for level in range(3000):
        parent = None if level == 0 else f"a{level - 1}"
        story.tell(ev.AgentStarted, f"a{level}", parent=parent, depth=level, question="q", model="m")
        story.prompt(f"a{level}")
        story.reply(f"a{level}", cost=0.001)
    data = File(saved_page(story.state)).data
    assert list(data["agents"]) == [f"a{level}" for level in range(50)]
    assert data["agents"]["a0"]["cost_total"] == 3.0
    assert data["agents"]["a49"]["cost_total"] == 2.951
    assert data["run"]["notices"][0].startswith("Of 3,000 agents, 50 are in this file")


def test_a_run_that_goes_on_is_saved_as_it_is_now():
    story = Story()
    story.agent("0")
    story.prompt("0")
    story.tell(ev.Notice, "0", after=4, text="slow")
    page = saved_page(story.state)
    assert "still going on when it was saved" in File(page).said
    assert File(page).data["agents"]["0"]["elapsed"] == 5.0
    assert "still going on" not in saved_page(example().state)


def test_without_the_widgets_script_the_error_names_it(monkeypatch, tmp_path):
    monkeypatch.setattr(saved, "_STATIC", tmp_path)
    with pytest.raises(ConfigError, match=r"`widget\.css` of the widget cannot be read.*--static"):
        saved_page(example().state)


def test_a_file_is_never_overwritten_and_its_name_says_what_it_is(tmp_path):
    tree = example().state
    path = export_run(tree, tmp_path / "run.html")
    with pytest.raises(ConfigError, match="exists already"):
        export_run(tree, path)
    with pytest.raises(ConfigError, match=r"must end in one of `\.html`"):
        export_run(tree, tmp_path / "run.pdf")
    with pytest.raises(ConfigError, match=r"no level `some`\. There are `all`, `redacted`, `structure`"):
        export_run(tree, tmp_path / "other.html", level="some")
    with pytest.raises(ConfigError, match=r"does not end in `\.html`"):
        export_run(tree, tmp_path / "run.ipynb", static=True)
    with pytest.raises(ConfigError, match="cannot be written"):
        export_run(tree, tmp_path / "none" / "run.html")
