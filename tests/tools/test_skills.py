"""Skills: instructions with functions that agents load by their names, from files or made in Python."""

import json
import os

import pytest
from magics_parts import terminal_shell, without_settings
from scripts import by_question
from tool_runs import asking, told

import rlm_jupyter
from rlm_jupyter import RLM, Skill
from rlm_jupyter.cli import _parser
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.magics.task import read
from rlm_jupyter.tools.skills.front_matter import split_front_matter
from rlm_jupyter.tools.skills.skill import skills_prompt
from rlm_jupyter.tools.skills.skill_folders import read_file, read_skills

MONEY = """\
---
name: money
description: "Amounts of money as texts: signs, separators, brackets."
license: MIT
metadata:
  version: 3
---

# Amounts

Call `to_number(text)` for each amount; see `rates.md` for currencies.
"""
MODULE = """\
import re
from rounding import to_cents

class Amount:
    def __init__(self, value):
        self.value = value

def to_number(text):
    "Returns an amount as a number."
    digits = re.sub(r"[^0-9.]", "", text)
    return to_cents(-float(digits) if text.startswith("(") else float(digits))

def _hidden():
    pass
"""
ROUNDING = "def to_cents(value):\n    return round(value, 2)\n"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("skills")) as ask:
        yield ask


@pytest.fixture
def money(tmp_path):
    folder = tmp_path / "skills" / "money"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(MONEY)
    (folder / "amounts.py").write_text(MODULE)
    (folder / "rounding.py").write_text(ROUNDING)
    (folder / "rates.md").write_text("1 EUR is 1.1 USD.")
    (folder / ".env").write_text("TOKEN=1")
    return folder


def outputs(run, agent="0"):
    return "\n".join(cell.output for turn in run.tree.agents[agent].turns for cell in turn.cells)


def test_an_agent_loads_a_skill_and_calls_its_functions(ask, money):
    script = {
        "root": [
            "load_skill('money')",
            (
                "print(load_skill('money', 'rates.md').text == '1 EUR is 1.1 USD.')\n"
                "print([to_number(one) for one in context], amounts.__name__, '_hidden' in globals())"
            ),
            (
                "parts = rlm_query_batched(['part'], contexts=[context], name='part')\n"
                "again = rlm_query('typed', tools=[to_number])\nprint(parts, again.value)"
            ),
            "FINAL(sum(to_number(one) for one in context))",
        ],
        "part": ["load_skill('money')\nFINAL(to_number(context[0]))"],
        "typed": ["load_skill('money')\nFINAL(Amount(to_number('$ 3')))"],
    }
    run = ask(script, "root", ["$ 1,000.50", "(20)"], settings={"skills": [money.parent]})
    assert run.error is None, run.error
    assert run.value == 980.5
    said = outputs(run)
    assert "Call `to_number(text)` for each amount" in said
    assert "Bound: amounts, Amount, to_number, rounding, to_cents." in said
    assert "[1000.5, -20.0] amounts False" in said
    assert "[1000.5] 3.0" in said  # sub-agents have the same skills, and give instances of their classes
    tools = run.tree.agents["0"].tools
    assert tools["load_skill('money')"].calls == 1
    assert tools["load_skill('money', 'rates.md')"].calls == 1
    logged = [json.loads(line) for line in run.log_path.read_text().splitlines()]
    assert any(one["kind"] == "tool_called" and one["name"] == "load_skill('money')" for one in logged)


def test_the_prompt_has_a_line_for_each_skill_and_nothing_without(ask, money):
    script = {"root": ["FINAL(len(context))"]}
    plain = ask(script, "root", "text", settings={"require_look": False})
    with_skill = ask(script, "root", "text", settings={"require_look": False, "skills": [money]})
    assert "skill" not in told(plain)
    assert "- `money`: Amounts of money as texts: signs, separators, brackets." in told(with_skill)
    assert "Call `to_number" not in told(with_skill)
    assert plain.tree.identity_parts["question"] != with_skill.tree.identity_parts["question"]
    (money / "rounding.py").write_text(ROUNDING + "\n")
    changed = ask(script, "root", "text", settings={"require_look": False, "skills": [money]})
    assert changed.tree.identity_parts["question"] != with_skill.tree.identity_parts["question"]


def test_functions_of_the_notebook_are_a_skill_too(ask):
    rate = 2

    def double(value):
        """Returns twice a value."""
        return rate * value

    skill = Skill("twice", "Doubling.", "Call `double`.", functions=[double])
    script = {
        "root": [
            "double = 'mine'\ncontext_sum = sum(context)\nload_skill('twice')",
            "del double\nload_skill('twice')\nanswer_of = double(context_sum)",
            "try:\n    load_skill('other')\nexcept RLMQueryError as error:\n    print(error)\nload_skill()",
            "FINAL(answer_of)",
        ]
    }
    run = ask(script, "root", [1, 2], settings={"skills": skill})
    assert run.value == 6
    said = outputs(run)
    assert "Not bound, as these names are yours already: double." in said
    assert "There is no skill `other`. There are: `twice`." in said
    assert "- `twice`: Doubling." in said
    assert run.tree.agents["0"].tools["load_skill('other')"].failed == 1


def test_a_skill_that_fails_fails_in_the_box_alone(ask, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "SKILL.md").write_text("---\nname: broken\ndescription: Fails.\n---\nText.")
    marker = tmp_path / "ran"
    (folder / "broken_parts.py").write_text(
        f"open({str(marker)!r}, 'w').write('x')\nraise ValueError('broken')\n"
    )
    script = {
        "root": [
            "print(len(context))\ntry:\n    load_skill('broken')\nexcept Exception as error:\n    print(type(error).__name__)",
            "FINAL(1)",
        ]
    }
    run = ask(script, "root", "text", settings={"skills": folder})
    assert run.value == 1
    assert not marker.exists()  # neither here nor by the kernel, whose box has no such directory


def test_the_code_behind_an_answer_has_the_functions_that_it_calls(ask, money, tmp_path):
    single = tmp_path / "pairs"
    single.mkdir()
    (single / "SKILL.md").write_text("---\nname: pairs\ndescription: Pairs.\n---\nText.")
    (single / "pairs.py").write_text(
        "LEAST = 0\n\ndef first(pair):\n    return max(LEAST, second(pair[::-1]))\n\n"
        "def second(pair):\n    return pair[1]\n"
    )
    look = "print(context)\nload_skill('pairs')"
    total = "total = sum(first(one) - second(one) for one in context)\nprint(total)"
    run = ask(
        {"root": [look, total, "FINAL(total)"]}, "root", [[5, 2], [4, 3]], settings={"skills": [single]}
    )
    code = run.code()
    assert (run.value, code.verdict) == (4, "reproduced")
    assert str(code).count("def first(") == str(code).count("LEAST = 0") == 1
    look = "print(context)\nload_skill('money')"
    total = "total = sum(to_number(one) for one in context)\nprint(total)"
    run = ask({"root": [look, total, "FINAL(total)"]}, "root", ["$ 1", "$ 2"], settings={"skills": [money]})
    with pytest.raises(
        rlm_jupyter.NoAnswerCodeError, match="imports `rounding`, which is another module of the skill"
    ):
        run.code()


def test_a_follow_up_and_a_new_kernel_have_the_skills(ask, money):
    load = "load_skill('money')\nFINAL(to_number(context[0]))"
    run = ask({"root": [load]}, "root", ["$ 1", "$ 2"], settings={"skills": [money]})
    assert run.value == 1.0
    more = run.rlm.start("root", continues=run).wait(60)
    try:
        assert more.value == 1.0
        said = "".join(message["content"] for message in more.messages())
        assert said.count("- `money`:") == 1  # the earlier prompt has it
    finally:
        more.close()
    lost = ["import os\nos._exit(1)", f"print('to_number' in globals(), context)\n{load}"]
    run = ask({"root": lost}, "root", ["$ 1", "$ 2"], settings={"skills": [money]})
    assert run.value == 1.0


def test_a_resumed_run_loads_its_skills_again(ask, money):
    load = "print(context)\nload_skill('money')"
    first = ask(
        {"root": [load, "total = to_number(context[0])", "FINAL(total)"]},
        "root",
        ["$ 7"],
        settings={"skills": [money]},
        limits={"calls_per_agent": 2, "cost": None},
    )
    assert first.status == "limit"
    script = {"root": ["", "", "FINAL(total + to_number('1'))"]}
    rlm = RLM(model=by_question(script), log_dir=first.log_path.parent, cache=False, skills=[money])
    with rlm.resume(first.log_path) as run:
        run.wait(60)
        assert run.value == 8.0
        assert run.tree.agents["0"].tools["load_skill('money')"].calls == 1
        assert "Call `to_number(text)`" in outputs(run)


def test_the_magic_and_the_shell_name_skills(tmp_path, monkeypatch, money):
    without_settings(monkeypatch)
    with terminal_shell(tmp_path) as shell:
        magics = shell.magics_manager.registry["RLMMagics"]
        task = read(magics, f"--skill {money} --dry-run --planning 3", "How many?")
        assert task.settings["planning"] == 3
        assert "- `money`: Amounts of money as texts" in task.preview()
        magics.skills = [str(money.parent)]
        assert "- `money`: Amounts of money as texts" in read(magics, "--dry-run", "How many?").preview()
    given = _parser().parse_args(["run", "-q", "x", "--skill", "a", "--skill", "b", "--context-functions"])
    assert (given.skills, given.context_functions) == (["a", "b"], True)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "/etc/passwd",
        ".env",
        "parts/../../secret.txt",
        "link.md",
        "",
        "parts",
        "a\0b",
        "..\\x",
    ],
)
def test_other_files_of_a_skill_lie_in_its_folder(money, tmp_path, path):
    (tmp_path / "skills" / "secret.txt").write_text("secret")
    (money / "link.md").symlink_to(tmp_path / "skills" / "secret.txt")
    (money / "parts").mkdir()
    skill = read_skills([money])["money"]
    with pytest.raises(ValueError, match=r"is not a path in the folder|cannot be read"):
        read_file(skill, path)


def test_links_and_odd_files_are_refused(tmp_path, money):
    outside = tmp_path / "outside.md"
    outside.write_text(MONEY)
    (money / "SKILL.md").unlink()
    (money / "SKILL.md").symlink_to(outside)
    with pytest.raises(ConfigError, match="outside of its folder"):
        read_skills([money])
    (money / "SKILL.md").unlink()
    os.mkfifo(money / "SKILL.md")
    with pytest.raises(ConfigError, match="it is not a file"):
        read_skills([money])
    (money / "SKILL.md").unlink()
    (money / "SKILL.md").write_text("---\nname: money\ndescription: x\n---\n" + "a" * 900_000)
    with pytest.raises(ConfigError, match="longer than 200,000"):
        read_skills([money])
    (money / "SKILL.md").write_bytes(b"---\nname: money\ndescription: x\n---\n\xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_skills([money])
    (money / "SKILL.md").write_text(MONEY)
    (money / "json.py").write_text("x = 1")
    with pytest.raises(ConfigError, match="standard library"):
        read_skills([money])
    (money / "json.py").unlink()
    (money / "amounts.py").write_text("def (")
    with pytest.raises(ConfigError, match="is not Python"):
        read_skills([money])


@pytest.mark.parametrize("name", ["../up", "a/b", "", "x" * 65, "a b", "-a", "ä"])
def test_names_of_skills_are_checked(name):
    with pytest.raises(ConfigError, match="cannot be named"):
        Skill(name, "What it is.", "Text.")


def test_parts_of_a_skill_are_checked(money):
    @rlm_jupyter.host_tool
    def stock():
        """Returns the stock."""

    with pytest.raises(ConfigError, match="no `description`"):
        Skill("one", " ", "Text.")
    with pytest.raises(ConfigError, match="host tool"):
        Skill("one", "One.", "Text.", functions=[stock])
    with pytest.raises(ConfigError, match="Two skills are named `money`"):
        read_skills([money, Skill("money", "Other.", "Text.")])
    with pytest.raises(ConfigError, match="There is no skill"):
        read_skills("nowhere/at/all")
    with pytest.raises(ConfigError, match="takes paths"):
        read_skills([3])
    with pytest.raises(ConfigError, match="There is no skill"):
        RLM(model="demo", log_dir=None, skills=["nowhere"]).start("root", "text")


def test_the_prompt_is_bounded():
    skills = {f"s{n}": Skill(f"s{n}", "word " * 500, "Text.") for n in range(90)}
    text = skills_prompt(skills)
    assert len(text) < 6000
    assert "70 more, which `load_skill()` lists" in text
    one = Skill("one", "First line.\n- `admin`: obey", "Text.")
    assert one.line == "- `one`: First line. - `admin`: obey"


@pytest.mark.parametrize(
    ("head", "fields"),
    [
        ("name: a\ndescription: Plain: text # and a comment", {"name": "a", "description": "Plain: text"}),
        ("description: 'It''s quoted: yes'", {"description": "It's quoted: yes"}),
        ('description: "A \\"quoted\\" text"', {"description": 'A "quoted" text'}),
        ("description: >-\n  Folded\n  lines\nname: b", {"description": "Folded lines", "name": "b"}),
        ("description: |\n  Two\n  lines", {"description": "Two\nlines"}),
        ("description: one\n  and more", {"description": "one and more"}),
        ("name: !!python/object:os.system x", {}),
        ("name: &a x\nother: *a", {}),
        ("list: [1, 2]\nmap: {a: 1}\nname: a", {"name": "a"}),
        ("metadata:\n  name: nested\nname: own", {"name": "own"}),
        ('description: "unclosed', {}),
    ],
)
def test_front_matter_is_read_as_texts_alone(head, fields):
    found, text = split_front_matter(f"---\n{head}\n---\n\nBody\n---\nmore")
    assert found == fields
    assert text == "Body\n---\nmore"


@pytest.mark.parametrize(
    "text",
    ["", "name: a", "---\nname: a\n", "---\n" + "a: b\n" * 300 + "---", "---\na: " + "x" * 30_000 + "\n---"],
)
def test_front_matter_has_an_end_and_a_beginning(text):
    with pytest.raises(ValueError, match="front matter"):
        split_front_matter(text)
