"""What is other for sub-agents than for the root: turns, instructions, prompt, tools."""

import pytest
from magics_parts import terminal_shell, without_settings
from run_parts import asking
from scripts import by_question, question_of

import rlm_jupyter
from rlm_jupyter import Limits
from rlm_jupyter.cli import _parser
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.magics.task import read


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("sub_options")) as ask:
        yield ask


def prompts(model, question):
    """The messages of the first request of each agent with a question."""
    chats = [request.messages for request in model.requests if question_of(request.messages) == question]
    return ["\n".join(message["content"] for message in chat) for chat in chats[:1]]


def test_a_sub_agent_may_have_fewer_turns_than_the_root(ask):
    script = {
        "root": ["a = 1", "b = 2", "answer_of = rlm_query('part', context)", "FINAL(1)"],
        "part": ["x = 1", "y = 2", "FINAL(3)"],
    }
    limits = Limits(cost=None, calls_per_agent=6, calls_per_sub_agent=2)
    run = ask(script, "root", [1, 2], limits=limits)
    part = run.tree.agents["0.1"]
    assert (part.status, len(part.turns)) == ("limit", 2)
    assert "`calls_per_sub_agent`" in part.error
    assert len(run.tree.agents["0"].turns) == 4
    assert run.error is None  # the limit of one sub-agent ends nothing else
    same = ask(script, "root", [1, 2], limits=Limits(cost=None, calls_per_agent=6))
    assert same.tree.agents["0.1"].status == "done"


def test_sub_agents_are_told_other_instructions_and_have_another_prompt(ask):
    script = {"root": ["FINAL(rlm_query('part', context))"], "part": ["FINAL(len(context))"]}
    model = by_question(script)
    options = {
        "instructions": "Speak of whales.",
        "sub_instructions": "Speak of bees.",
        "sub_prompt": "frugal",
    }
    ask({}, "root", [1, 2], model=model, settings=options)
    (root,), (part,) = prompts(model, "root"), prompts(model, "part")
    assert ("whales" in root, "bees" in root) == (True, False)
    assert ("whales" in part, "bees" in part) == (False, True)
    plain = by_question(script)
    ask({}, "root", [1, 2], model=plain, settings={"instructions": "Speak of whales."})
    (other,) = prompts(plain, "part")
    assert "whales" in other
    assert other.replace("whales", "bees") != part  # the frugal prompt is another one
    none = by_question(script)
    ask({}, "root", [1, 2], model=none, settings={"instructions": "Speak of whales.", "sub_instructions": ""})
    assert "whales" not in prompts(none, "part")[0]


def test_a_tool_of_sub_agents_is_theirs_alone(ask):
    @rlm_jupyter.sub_tool
    def page(number: int) -> str:
        """Give a page."""
        return f"page {number}"

    def total(numbers: list) -> int:
        """Give a sum."""
        return sum(numbers)

    @rlm_jupyter.sub_tool
    @rlm_jupyter.host_tool
    def stock() -> int:
        """Give the stock."""
        return 41

    script = {
        "root": ["FINAL([total(context), 'page' in globals(), rlm_query('part', context)])"],
        "part": ["FINAL([page(3), stock(), 'total' in globals(), rlm_query('leaf', context)])"],
        "leaf": ["FINAL(page(4))"],
    }
    model = by_question(script)
    run = ask({}, "root", [1, 2], model=model, tools=[total, page, stock])
    assert run.error is None
    assert run.value == [3, False, ["page 3", 41, False, "page 4"]]
    (root,), (part,) = prompts(model, "root"), prompts(model, "part")
    assert "Sub-agents have these, and you do not:" in root
    assert "def page(number: int) -> str" in root
    assert "def page(number: int) -> str" in part
    assert "Sub-agents have these" not in part
    assert set(run.tree.agents["0.1"].handed) == {"page", "stock"}
    again = run.ask("root")  # a follow-up has them, too
    assert again.value == run.value


def test_what_cannot_be_called_is_no_tool():
    with pytest.raises(ConfigError, match="takes a function, not a `int`"):
        rlm_jupyter.sub_tool(3)
    assert rlm_jupyter.sub_tool(str.upper)("a") == "A"  # a method is wrapped


def test_the_magic_and_the_shell_have_options_for_them(tmp_path, monkeypatch):
    without_settings(monkeypatch)
    line = '--sub-turns 3 --sub-instructions "Be brief." --strong-model demo --strong-after 2'
    with terminal_shell(tmp_path) as shell:
        magics = shell.magics_manager.registry["RLMMagics"]
        task = read(magics, line, "How many?")
        assert task.settings["limits"].calls_per_sub_agent == 3
        assert task.settings["sub_instructions"] == "Be brief."
        assert (task.settings["strong_model"], task.settings["strong_after"]) == ("demo", 2)
        shell.run_cell(
            "import rlm_jupyter\n@rlm_jupyter.sub_tool\ndef page(n: int) -> str:\n    return str(n)"
        )
        shown = read(magics, "-t page --dry-run", "How many?").preview()
        assert "Sub-agents have these, and you do not:\ndef page(n: int) -> str" in shown
    given = _parser().parse_args(["run", "-q", "x", "--sub-turns", "3", "--sub-prompt", "frugal"])
    assert (given.sub_turns, given.sub_prompt) == (3, "frugal")
