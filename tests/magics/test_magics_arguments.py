"""The lines of `%%rlm` and `%rlm`: what they may hold, and the one line that is said of a wrong one."""

import inspect

import pytest
from IPython.core.error import UsageError
from magics_parts import terminal_shell
from pydantic import ValidationError

from rlm_jupyter import ConfigError, Limits, Sandbox
from rlm_jupyter.magics import arguments, line_magic, notebook_lookup
from rlm_jupyter.magics.task import read
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.options.table import arguments_of, options_of
from rlm_jupyter.rlm import RLM
from rlm_jupyter.settings import Settings


def a_tool(text: str) -> int:
    """Count."""
    return len(text)


@pytest.fixture
def shell(tmp_path):
    with terminal_shell(tmp_path) as shell:
        yield shell


@pytest.fixture
def magics(shell):
    shell.user_ns.update(
        orders=[1, 2], returns=[3], tool=a_tool, Verdict={"a": "int64"}, servers={"files": {}}
    )
    return shell.magics_manager.registry["RLMMagics"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("ordes", ["no variable `ordes`", "Did you mean `orders`?", "`returns`"]),
        ("orders --modle x", ["no option `--modle`", "Did you mean `--model`", "`--max-cost`"]),
        ("orders -x", ["no option `-x`", "`--out`"]),
        ("orders -o", ["expected one argument", "%%rlm"]),
        ("-o 1x", ["`1x` cannot be one"]),
        ("-o class", ["`class` cannot be one"]),
        ("-s Verdit", ["no schema `Verdit`", "Did you mean `Verdict`", "`str`"]),
        ("-s exit()", ["`-s` takes the name", "`exit()`"]),
        ("-s list[orders.x]", ["The schema `list[orders.x]` cannot be"]),
        ("-t tol", ["no function `tol`", "Did you mean `tool`?"]),
        ("-t orders", ["`orders` is a `list` and no function"]),
        ("--env RLM_TEST_VARIABEL", ["`RLM_TEST_VARIABEL` is not set", "`RLM_TEST_VARIABLE`"]),
        ("--env TOKEN=abc", ["a name alone", "`--env TOKEN`"]),
        ("--mcp server", ["no variable `server`", "Did you mean `servers`?"]),
        ("--mcp orders", ["`orders` is a `list`"]),
        ("--depth x", ["--depth", "`x` is not a number"]),
        ("--depth 1.5", ["`1.5` is not a whole number"]),
        ("--max-cost -1", ["`-1` is out of range; write 0 or more"]),
        ("--max-cost nan", ["`nan` is out of range"]),
        ("--timeout 0", ["`0` is out of range; write more than 0"]),
        ("--sandbox jail", ["'jail'", "bwrap"]),
        ("'orders", ["quotation"]),
    ],
)
def test_a_wrong_line_is_a_usage_error_of_one_line_that_says_what_exists(magics, monkeypatch, given, said):
    monkeypatch.setenv("RLM_TEST_VARIABLE", "1")
    with pytest.raises(UsageError) as caught:
        read(magics, given, "What?")
    assert type(caught.value) is UsageError  # IPython shows a traceback for a subclass
    message = str(caught.value)
    assert "\n" not in message
    for part in said:
        assert part in message


@pytest.mark.parametrize("body", ["", "\n", "  \n\t\n"])
def test_an_empty_question_is_a_usage_error(magics, body):
    with pytest.raises(UsageError, match="question is empty"):
        read(magics, "orders", body)


@pytest.mark.parametrize(
    "body", ["{orders} costs $5 'and' \"more\" %d {", "  first\n\n    def f(): return {}\n  last "]
)
def test_the_question_is_the_body_verbatim_but_for_blank_lines_around_it(magics, body):
    assert read(magics, "orders", f"\n \n{body}\n\n").question == body


@pytest.mark.parametrize(
    ("given", "context", "names"),
    [
        ("", None, ()),
        ("orders", [1, 2], ("orders",)),
        ("orders returns", {"orders": [1, 2], "returns": [3]}, ("orders", "returns")),
        ("orders --bg returns", {"orders": [1, 2], "returns": [3]}, ("orders", "returns")),
        ("-o x orders orders", [1, 2], ("orders",)),
    ],
)
def test_no_name_is_no_context_one_is_the_object_and_several_are_a_dict(magics, given, context, names):
    task = read(magics, given, "What?")
    assert (task.context, task.names) == (context, names)
    if len(names) == 1:
        assert task.context is magics.shell.user_ns[names[0]]


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("str", str),
        ("list[str]", list[str]),
        ("'dict[str, int] | None'", dict[str, int] | None),
        ("Verdict", {"a": "int64"}),
    ],
)
def test_a_schema_is_a_builtin_type_a_type_of_types_or_a_variable(magics, text, schema):
    assert read(magics, f"-s {text}", "What?").schema == schema


def test_tools_environment_and_servers_are_looked_up(magics, monkeypatch):
    monkeypatch.setenv("RLM_TEST_VARIABLE", "value")
    task = read(magics, "orders -t tool --env RLM_TEST_VARIABLE --mcp servers --step -o found", "What?")
    assert (task.tools, task.env, task.mcp) == ((a_tool,), {"RLM_TEST_VARIABLE": "value"}, {"files": {}})
    assert (task.step, task.background, task.out) == (True, False, "found")


def test_a_model_may_be_a_variable_that_holds_one(magics):
    magics.shell.user_ns["scripted"] = model = ScriptedModel([])
    assert read(magics, "-m scripted --sub-model openai/gpt-5", "What?").settings["model"] is model
    assert read(magics, "-m orders", "What?").settings["model"] == "orders"
    magics.model = "scripted"
    assert read(magics, "", "What?").settings["model"] is model


def test_arguments_win_over_config_which_wins_over_defaults(magics):
    assert read(magics, "", "What?").settings["limits"] == Limits()
    magics.depth, magics.max_cost, magics.limits, magics.sample_rows = 5, None, {"agents": 7}, 0
    settings = read(
        magics, "--depth 1 --max-tokens none --max-calls 9 --timeout 2.5 --no-cache", "What?"
    ).settings
    assert settings["limits"] == Limits(depth=1, cost=None, tokens=None, calls=9, seconds=2.5, agents=7)
    assert (settings["cache"], settings["sample_rows"], settings["sandbox"].mode) == (False, 0, "auto")


def test_pictures_are_sent_if_the_line_says_so_and_may_be_switched_off_for_all(magics):
    assert RLM(**read(magics, "", "What?").settings).settings.see is None
    assert RLM(**read(magics, "--see", "What?").settings).settings.see is True
    magics.see = False
    assert RLM(**read(magics, "", "What?").settings).settings.see is False


def test_a_default_money_limit_is_not_taken_for_one_that_was_asked_for(magics):
    assert "cost" not in read(magics, "", "What?").settings["limits"].model_fields_set
    assert "cost" in read(magics, "--max-cost 1", "What?").settings["limits"].model_fields_set


def test_the_environment_is_under_config_and_over_defaults(magics, monkeypatch):
    monkeypatch.setenv("RLM_MODEL", "ollama/from-environment")
    assert RLM(**read(magics, "", "What?").settings).settings.model == "ollama/from-environment"
    magics.model = "ollama/from-config"
    assert RLM(**read(magics, "", "What?").settings).settings.model == "ollama/from-config"


def test_an_unknown_limit_of_config_says_which_there_are(magics):
    magics.limits = {"agent": 3}
    with pytest.raises(ConfigError, match=r"no limit `agent`.*`agents`"):
        read(magics, "", "What?")


def test_settings_limits_and_sandbox_have_the_fields_of_the_table():
    for owner, kind in [("settings", Settings), ("limits", Limits), ("sandbox", Sandbox)]:
        declared = options_of(owner)
        assert set(kind.model_fields) == set(declared)
        assert {name: field.description for name, field in kind.model_fields.items()} == {
            name: option.help for name, option in declared.items()
        }
    assert set(inspect.signature(RLM).parameters) >= set(options_of("rlm"))


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        pytest.param(kind, option, id=f"{owner}-{option.name}")
        for owner, kind in [("settings", Settings), ("limits", Limits), ("sandbox", Sandbox)]
        for option in options_of(owner).values()
        if option.least is not None or option.above is not None
    ],
)
def test_numbers_out_of_a_declared_range_are_refused(kind, option):
    wrong = [option.least - 1] if option.least is not None else [option.above]
    wrong += [option.most + 1] if option.most is not None else []
    for number in wrong:
        with pytest.raises((ValidationError, ConfigError)):
            kind(**{option.name: number})


def test_the_traits_have_the_defaults_of_settings_and_limits(magics):
    for owner, made in [("settings", Settings()), ("limits", Limits())]:
        for name, field in arguments_of(owner).items():
            expected = getattr(made, field)
            expected = {"log_dir": str(expected), "sandbox": "auto", "limits": {}}.get(name, expected)
            assert magics.trait_defaults(name) == expected, name
    assert Settings().sandbox == Sandbox()


@pytest.mark.parametrize("trait", [*arguments_of("settings"), *arguments_of("limits"), *arguments_of("rlm")])
def test_every_trait_has_help_in_percent_config(magics, shell, capsys, trait):
    shell.run_line_magic("config", "RLMMagics")
    assert f"RLMMagics.{trait}=" in capsys.readouterr().out
    assert magics.traits()[trait].help


def test_variables_are_the_users_own(shell):
    shell.run_cell("import math\nnumber = 1\n_hidden = 2\nexit_code = 3")
    assert set(notebook_lookup.variables(shell)) == {"number", "exit_code"}


def test_many_variables_are_counted_and_not_listed(magics):
    magics.shell.user_ns.update({f"v{number:03}": number for number in range(200)})
    with pytest.raises(UsageError) as caught:
        read(magics, "nothing_like_it", "What?")
    assert len(str(caught.value)) < 400
    assert "more" in str(caught.value)


def test_the_help_of_the_cell_names_each_option_and_that_of_the_line_each_command(shell, capsys):
    shell.run_cell("%%rlm?")
    shown = capsys.readouterr().out
    for option in arguments.options(arguments.CELL):
        assert option in shown
    assert "%%rlm orders -o findings" in shown
    shell.run_cell("%rlm?")
    shown = capsys.readouterr().out
    for command in line_magic.COMMANDS.values():
        assert command.usage in shown
