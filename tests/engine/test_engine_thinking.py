"""What a model only thought is never run, whatever marks it puts around its thoughts; nor is code harmed that names them."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_jupyter.engine.reply.parse import Reply, parse_reply

FENCE = "```"
DRAFT = f"{FENCE}python\nFINAL('draft')\n{FENCE}"
REAL = f"{FENCE}repl\nFINAL('real')\n{FENCE}"

MARKS = {
    "think": ("<think>", "</think>"),
    "attributes": ("<Thinking budget=\"3\" lang='en'>", "</THINKING>"),
    "spaced": ("< think >", "</ think >"),
    "thought": ("<thought>", "</thought>"),
    "reasoning": ("<reasoning>", "</reasoning>"),
    "reflection": ("<REFLECTION>", "</REFLECTION>"),
    "scratchpad": ("<scratch_pad>", "</scratch_pad>"),
    "monologue": ("<inner_monologue>", "</inner_monologue>"),
    "chain": ("<chain_of_thought>", "</chain_of_thought>"),
    "process": ("<thinking-process>", "</thinking-process>"),
    "namespace": ("<seed:think>", "</seed:think>"),
    "prefix": ("<antThinking>", "</antThinking>"),
    "magistral": ("[THINK]", "[/THINK]"),
    "bracket": ("[reasoning]", "[/reasoning]"),
    "kimi": ("◁think▷", "◁/think▷"),
    "cohere": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "openthinker": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "slash": ("<|think|>", "<|/think|>"),
    "medgemma": ("<unused94>thought\n", "<unused95>"),
    "gemma": ("<|channel>thought\n", "<channel|>"),
    "turn": ("<|im_start|>think", "<|im_start|>answer"),
    "details": ('<details type="reasoning" done="true">\n<summary>Thought for 3 s</summary>', "</details>"),
    "summary": ("<details><summary>My thinking</summary>", "</details>"),
    "comment": ("<!--", "-->"),
    "words": ("Here is my thought process:", "Here is my response:"),
}
TAGS = {name: marks for name, marks in MARKS.items() if name != "words"}
CERTAIN = {n: m for n, m in TAGS.items() if n not in ("bracket", "details", "summary", "comment")}
LONE = {n: m for n, m in TAGS.items() if n not in ("details", "summary", "comment", "turn")}


def run_of(text):
    return parse_reply(text).blocks


@pytest.mark.parametrize("name", MARKS)
def test_a_draft_between_marks_is_not_run_and_is_kept_as_thinking(name):
    opens, closes = MARKS[name]
    reply = parse_reply(f"{opens}\nPerhaps:\n{DRAFT}\nNo.\n{closes}\n{REAL}")
    assert reply.blocks == ("FINAL('real')",)
    assert "FINAL('draft')" in reply.thinking
    assert "draft" not in reply.prose


@pytest.mark.parametrize("name", TAGS)
@pytest.mark.parametrize(
    "text",
    [
        "{o}Perhaps:\n{d}\nNo, wrong.{c}\n{r}",
        "{o}Perhaps:\n{d}\n{c}{r}",
        "{o}Perhaps:\n{d}{c}\n{r}",
        "{o}Perhaps:\n{d}\nNo.{c} So:\n{r}",
        "{o}Perhaps:\n```python\nFINAL('draft')\n{c}\n{r}",
        "{o}Perhaps:\n```python\nFINAL('draft'){c}\n{r}",
        "{o}\nFINAL('draft')\n{c}\nFINAL('real')",
        "{r}\n{o}\n{d}\n{c}\n",
        "> {o}\n{d}\n{c}\n{r}",
        "**{o}**\n{d}\n**{c}**\n{r}",
    ],
)
def test_marks_may_be_glued_to_text_fences_and_code(name, text):
    opens, closes = TAGS[name]
    filled = text.format(o=opens, c=closes, d=DRAFT, r=REAL)
    assert run_of(filled) == ("FINAL('real')",)
    assert run_of(filled.replace("\n", "\r\n")) == ("FINAL('real')",)


@pytest.mark.parametrize("name", CERTAIN)
def test_thoughts_that_are_never_closed_run_nothing(name):
    assert "inside its thinking" in parse_reply(f"{CERTAIN[name][0]}\nPerhaps:\n{DRAFT}\nNo.").problem


@pytest.mark.parametrize("name", LONE)
def test_a_closing_mark_alone_ends_thoughts_that_began_in_the_prompt(name):
    assert run_of(f"Perhaps:\n{DRAFT}\nNo.\n{LONE[name][1]}\n{REAL}") == ("FINAL('real')",)


@pytest.mark.parametrize("name", ["think", "thought", "namespace", "magistral", "kimi", "cohere", "prefix"])
def test_thoughts_within_a_line_do_not_run_and_what_ran_before_them_stays(name):
    opens, closes = MARKS[name]
    thought = f"Okay. {opens}a draft:\n{DRAFT}\nno.{closes} So:\n"
    assert run_of(thought + REAL) == ("FINAL('real')",)
    assert run_of(f"{REAL}\n{thought}") == ("FINAL('real')",)


@pytest.mark.parametrize("name", MARKS)
@pytest.mark.parametrize("before", ["", "I look.\n", "{o}\n{d}\n{c}\n"])
@pytest.mark.parametrize("fence", ["```", "~~~"])
def test_code_that_names_a_mark_in_its_strings_stays_as_it_is(name, before, fence):
    opens, closes = MARKS[name]
    code = f"x = '''\n{opens}\n{FENCE}python\nq\n{FENCE}\n{closes}\n'''\ny = {opens + closes!r}\nFINAL(x.split({closes!r}))"
    assert run_of(before.format(o=opens, c=closes, d=DRAFT) + f"{fence}repl\n{code}\n{fence}\nDone.") == (
        code,
    )


@pytest.mark.parametrize("name", ["think", "thought", "cohere", "kimi"])
def test_a_mark_that_is_only_spoken_of_hides_nothing(name):
    opens, closes = MARKS[name]
    for sentence in (f"The texts hold `{opens}` and `{closes}`.", f'Remove "{opens}" first:', f"`{opens}`:"):
        assert run_of(f"{sentence}\n{REAL}") == ("FINAL('real')",)
    thought = f"{opens}\nI must close with `{closes}` later.\n{DRAFT}\n{closes}\n{REAL}"
    assert run_of(thought) == ("FINAL('real')",)


def test_python_without_a_fence_may_have_a_mark_in_a_string():
    code = 't = """\n<thought>\nx\n</thought>\n"""\nFINAL(t)'
    assert run_of(code) == (code,)
    assert run_of("[THINK]\nFINAL('draft')") == ()


@pytest.mark.parametrize(
    "head", ["[Reasoning]\nI look.", "<no_think>", "<think/>", "<think>\n\n</think>", "<div>", "<answer>"]
)
def test_what_is_no_thought_hides_nothing(head):
    assert run_of(f"{head}\n{REAL}") == ("FINAL('real')",)


THOUGHT = f"<|channel|>analysis<|message|>Perhaps:\n{DRAFT}\nNo."
ANSWER = "<|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    "text",
    [
        f"{THOUGHT}<|end|>{ANSWER}{REAL}<|return|>",
        f"{THOUGHT}<|end|>\n{ANSWER}\n{REAL}\n<|return|>\n",
        f"<|start|>assistant{THOUGHT}{ANSWER}Sure:\n{REAL}<|end|>",
        f"{THOUGHT}<|end|><|start|>assistant{THOUGHT}<|end|>{ANSWER}{REAL}",
        f"{THOUGHT}<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|>{ANSWER}{REAL}",
        f"{THOUGHT}<|end|><|start|>assistant<|channel|>final <|constrain|>python<|message|>{REAL}",
        f"{THOUGHT}<|end|>{ANSWER}```\nFINAL('real')\n```<|return|>",
        f"{THOUGHT}<|end|>{ANSWER}```repl\nFINAL('real')<|return|>",
        f"{THOUGHT}<|end|>{ANSWER}```repl\nFINAL('real')\n<|end|>\nThat is all.",
        f"{THOUGHT}<|end|>{ANSWER}FINAL('real')<|return|>",
        f"Perhaps:\n{DRAFT}\nNo.<|end|>{ANSWER}{REAL}",
        f"analysisPerhaps we say:\n{DRAFT}\nNo.assistantfinal{REAL}",
        f"<|START_THINKING|>\n{DRAFT}<|END_THINKING|><|START_RESPONSE|>{REAL}<|END_RESPONSE|>",
        f"{REAL}<|im_end|>",
        f"<think>{DRAFT}</think><answer>{REAL}</answer>",
        f"<thinking>a\n<reflection>\n{DRAFT}\n</reflection>\n{DRAFT}</thinking>\n{REAL}",
    ],
)
def test_channels_and_tokens_of_templates_are_read_and_only_the_answer_runs(text):
    assert run_of(text) == ("FINAL('real')",)


@pytest.mark.parametrize("text", [THOUGHT, f"analysisWe need to look.\n{DRAFT}\nNo."])
def test_a_channel_of_thoughts_that_never_ends_runs_nothing(text):
    assert run_of(text) == ()


LARGE = [
    *(
        "<think>",
        "[thinking]\n",
        "[THINK]",
        "a <think> b ",
        "</think> ",
        "x </think>\n",
        "<!--",
        "◁think▷",
        "<|end|>",
    ),
    *(
        "<|channel|>analysis",
        "<|channel|>final<|message|>a",
        "<details>\n",
        "<a_b_c_d_think ",
        "<",
        "x [/thinking] ",
    ),
    *("x </think> <think> ", "<|return|> ", "```python\nx=1\n</thought>\n", "```python\nx=1\n<|end|>\n"),
    *("y <thought> ```repl\n", "a word more ```repl\n", "`<think>` ```repl\n", "a <think>\n b</think> c\n"),
]


@pytest.mark.parametrize("piece", LARGE)
def test_a_megabyte_of_marks_does_not_hang(piece):
    began = time.process_time()
    assert isinstance(parse_reply(piece * (1_000_000 // len(piece))), Reply)
    assert time.process_time() - began < 20, "a bound on hangs; it takes a second at most"


PIECES = [
    *(mark for marks in MARKS.values() for mark in marks),
    "```",
    "```repl",
    "\n",
    "\n",
    " ",
    "x = 1",
    '"""',
    "`",
    ANSWER,
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.sampled_from(["stop", "length"]))
def test_any_soup_of_marks_gives_either_code_or_a_problem(text, finish_reason):
    reply = parse_reply(text, finish_reason=finish_reason)
    assert bool(reply.blocks) != bool(reply.problem)
    assert all(block.strip() for block in reply.blocks)
