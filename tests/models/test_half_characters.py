"""Half surrogates, as text that was read with `surrogateescape` has them: kept in values, never sent, logged or exported."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from magics_parts import terminal_shell
from openai_server import raw
from scripts import cell

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.errors import ConfigError, RLMError
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.retry import RetryPolicy
from rlm_jupyter.records import load
from rlm_jupyter.records.export import to_notebook, to_script

TEXT = b"caf\xe9 au lait".decode("utf-8", "surrogateescape")
OBJECTS = pd.Index([TEXT], dtype=object)  # pandas' own texts cannot hold it
DATA = {
    "text": TEXT,
    "long text": TEXT * 5000,
    "list": [TEXT] * 3,
    "dict": {TEXT: TEXT},
    "set": {TEXT},
    "frame": pd.DataFrame([[TEXT]], columns=OBJECTS, index=OBJECTS, dtype=object),
}


@pytest.mark.parametrize("name", DATA)
def test_a_run_on_such_data_keeps_it_and_tells_of_it_in_utf_8(tmp_path, name):
    data = DATA[name]
    replies = [
        f"prose {TEXT}\n" + cell(f"print(context, {TEXT!a})\nx = context  # {TEXT}"),
        cell(f"raise ValueError({TEXT!a})"),
        cell(f"print(llm_query({TEXT!a}))\nprint(rlm_query({TEXT!a}, context=context))"),
        f"plain {TEXT}",
        cell("FINAL(len(str(context)))"),
        cell("FINAL(x)"),
    ]
    model = ScriptedModel(replies)
    rlm = RLM(model=model, log_dir=tmp_path, cache=False, require_look=False)
    run = rlm.run(f"What is {TEXT}?", context=data)
    assert run.status == "done"
    assert run.value.equals(data) if isinstance(data, pd.DataFrame) else run.value == data
    sent = [message["content"] for request in model.requests for message in request.messages]
    assert all(text.encode() for text in sent)
    assert any("caf\ufffd" in text for text in sent)
    logged = run.log_path.read_bytes().decode("utf-8")
    assert all(json.loads(line) for line in logged.splitlines())
    for tree in (run.tree, load(run.log_path).tree):
        assert "caf\ufffd" in to_script(tree).encode().decode()
        cells = to_notebook(tree)["cells"]
        assert "caf\ufffd" in json.dumps(cells, ensure_ascii=False).encode().decode()
    run.close()


@pytest.mark.parametrize("status", [200, 400])
def test_what_a_provider_says_of_it_is_told(openai_server, tmp_path, status):
    openai_server.script = lambda _: raw({"error": {"message": f"bad {TEXT}", "code": 400}}, status=status)
    chat = OpenAIChat(
        "m", base_url=openai_server.url, api_key="sk-test-0123456789", retry=RetryPolicy(first_wait=0.01)
    )
    rlm = RLM(model=chat, log_dir=tmp_path, cache=False, limits=Limits(cost=None))
    run = rlm.start(f"What is {TEXT}?").wait(60)
    assert "bad caf\ufffd" in str(run.error)
    assert run.log_path.read_bytes().decode("utf-8")
    assert "caf\ufffd" in openai_server.requests[0]["messages"][-1]["content"]
    run.close()
    engine().submit(chat.aclose()).result(10)


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / os.fsdecode(b"d\xe9j\xe0")
    folder.mkdir()
    file = folder / os.fsdecode(b"caf\xe9.txt")
    file.write_text("inside")
    return file


@pytest.mark.parametrize("of", ["file", "folder"])
def test_a_file_of_such_a_name_may_be_read(tmp_path, path, of):
    model = ScriptedModel([cell(f"print(open({str(path)!a}).read())\nFINAL(open({str(path)!a}).read())")])
    allowed = path if of == "file" else path.parent
    rlm = RLM(model=model, log_dir=tmp_path / "logs", cache=False, sandbox={"read": [str(allowed)]})
    run = rlm.run("root", context=[1])
    assert run.value == "inside"
    assert run.log_path.read_bytes().decode("utf-8")
    assert "\ufffd" in model.requests[0].messages[-1]["content"]
    run.close()


@pytest.mark.parametrize(
    "sandbox", [{"read": "{path}x"}, {"scratch": "{path}"}, {"net": "caf\udce9/x"}, {"net": "caf\udce9"}]
)
def test_what_is_wrong_with_such_a_name_is_told(path, sandbox):
    given = {
        name: [value.format(path=path)] if name != "scratch" else value.format(path=path)
        for name, value in sandbox.items()
    }
    with pytest.raises(ConfigError) as caught:
        RLM(model=ScriptedModel([]), sandbox=given)
    str(caught.value).encode()


def test_such_a_name_in_a_magic_line_question_and_export(tmp_path, path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with terminal_shell(tmp_path) as shell:
        shell.user_ns["data"] = str(path)
        shell.user_ns["model"] = ScriptedModel(lambda _: cell("FINAL(open(context).read() + context)"))
        result = shell.run_cell(f"%%rlm data -m model -o out --no-cache --read {path}\nWhat is in {path}?")
        assert result.error_in_exec is None
        assert shell.user_ns["out"] == f"inside{path}"
        for name in ("run.ipynb", "run.py", os.fsdecode(b"r\xe9n.py")):
            assert shell.run_cell(f"%rlm export -o {name}").error_in_exec is None
            assert "caf\ufffd" in Path(name).read_bytes().decode("utf-8").replace("\\ufffd", "\ufffd")
        wrong = shell.run_cell(f"%%rlm data -m model --read {path}x\nWhat?").error_in_exec
        assert isinstance(wrong, RLMError)
        str(wrong).encode()
    capsys.readouterr().out.encode()
