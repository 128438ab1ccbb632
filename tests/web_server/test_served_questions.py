"""Questions to `rlm-jupyter serve` over real HTTP: sources, runs, events, values, pages, chat clients."""

import base64
import json
import subprocess
import sys
import threading

import openai
import psutil
import pytest
from openai_server import OpenAIServer
from run_parts import until
from scripts import cell, question_of
from web_server_parts import TOKEN, client, ended, events, served

CODES = {
    "How many lines?": "FINAL(sum(1 for _ in open(context)))",
    "Which columns?": "import pandas as pd\nFINAL(list(pd.read_csv(context).columns))",
    "Both?": "FINAL([open(one).read().strip() for one in (orders, notes)])",
    "Given?": "FINAL(context)",
    "Long?": "FINAL(['word'] * 5000)",
    "Wrong?": "FINAL(open('/etc/hostname').read() if False else 1)",
    "Hello?": "FINAL('Hello.')",
    "And before?": "FINAL(history[0]['content'] + '|' + open(notes).read().strip())",
    "Slow?": "import time\nwhile True: time.sleep(0.1)",
}


def reply(request):
    return cell(CODES[question_of(request["messages"])])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    (folder / "orders.csv").write_text("id,price\n1,2\n3,4\n")
    (folder / "notes.txt").write_text("one\n")
    sources = [f"orders={folder / 'orders.csv'}", f"notes={folder / 'notes.txt'}"]
    with OpenAIServer(reply) as model, served(model, *sources) as (address, process):
        yield address, process, model, folder


@pytest.fixture(scope="module")
def asking(server):
    with client(server[0]) as one:
        yield one


def start(asking, question, **more):
    response = asking.post("/runs", json={"question": question, **more})
    assert response.status_code == 202, response.text
    return response.json()["run"]


def test_sources_are_listed_without_their_paths(asking, server):
    told = asking.get("/sources")
    assert told.json() == {
        "sources": [
            {"name": "orders", "kind": "csv", "bytes": 17},
            {"name": "notes", "kind": "txt", "bytes": 4},
        ]
    }
    assert str(server[3]) not in told.text


def test_a_question_about_a_source_is_answered(asking):
    run = start(asking, "Which columns?", sources=["orders"])
    told = ended(asking, run)
    assert told["answer"] == ["id", "price"]
    assert told["status"] == "done"
    assert told["error"] is None
    assert told["cost_usd"] > 0
    assert [each["run"] for each in asking.get("/runs").json()["runs"]].count(run) == 1


def test_several_sources_have_their_names(asking):
    assert ended(asking, start(asking, "Both?", sources=["orders", "notes"]))["answer"] == [
        "id,price\n1,2\n3,4",
        "one",
    ]


def test_data_of_a_request_and_its_files_are_handed_over(asking):
    assert ended(asking, start(asking, "Given?", data={"a": [1, 2]}))["answer"] == {"a": [1, 2]}
    files = {"mine.csv": base64.b64encode(b"x,y\n1,2\n").decode()}
    assert ended(asking, start(asking, "Which columns?", files=files))["answer"] == ["x", "y"]


def test_a_large_value_is_read_in_parts(asking):
    run = start(asking, "Long?")
    told = ended(asking, run)
    assert not told["whole"]
    assert asking.get(f"/runs/{run}/value", params={"path": "/4999"}).json()["value"] == "word"
    assert asking.get(f"/runs/{run}/value", params={"start": "4998"}).json()["value"] == ["word", "word"]
    assert asking.get(f"/runs/{run}/value", params={"start": "-1"}).status_code == 400


def test_a_schema_holds(asking):
    run = start(asking, "Hello?", schema={"type": "string"})
    assert ended(asking, run)["answer"] == "Hello."


def test_events_tell_how_far_a_run_is_and_go_on_after_the_last_one(asking):
    run = start(asking, "How many lines?", sources=["orders"])
    with asking.stream("GET", f"/runs/{run}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        told = list(events(response))
    numbers = [int(number) for number, _, _ in told]
    assert numbers == list(range(1, len(told) + 1))
    assert [kind for _, kind, _ in told][-1] == "answer"
    assert json.loads(told[-1][2])["answer"] == 3
    assert "Question: How many lines?" in json.loads(told[0][2])["tree"]
    with asking.stream("GET", f"/runs/{run}/events", headers={"Last-Event-ID": str(numbers[-2])}) as response:
        assert [kind for _, kind, _ in events(response)] == ["answer"]


def test_a_run_is_stopped(asking, server):
    model = server[2]
    calls = model.calls
    run = start(asking, "Slow?")
    until(lambda: model.calls > calls)
    asking.post(f"/runs/{run}/stop")
    told = ended(asking, run)
    assert told["status"] == "stopped"
    assert "RunStoppedError" in told["error"]


def test_the_page_of_a_run_has_an_origin_of_its_own(asking):
    run = start(asking, "Hello?")
    ended(asking, run)
    page = asking.get(f"/runs/{run}/page")
    assert page.headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in page.headers["content-security-policy"]
    assert "Hello?" in page.text


def test_openais_client_asks_whole_and_as_a_stream(server):
    with openai.OpenAI(base_url=f"{server[0]}v1", api_key=TOKEN, max_retries=0) as chat:
        assert [model.id for model in chat.models.list()] == ["rlm"]
        whole = chat.chat.completions.create(model="rlm", messages=[{"role": "user", "content": "Hello?"}])
        assert whole.choices[0].message.content == "Hello."
        assert whole.usage.total_tokens > 0
        said = [
            {"role": "user", "content": "First?"},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": [{"type": "text", "text": "And before?"}]},
        ]
        stream = chat.chat.completions.create(
            model="rlm", messages=said, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "First?|one"
    assert chunks[-1].usage.completion_tokens > 0


def test_a_chat_client_that_goes_away_stops_its_run(asking, server):
    model = server[2]
    calls = model.calls
    body = {"model": "rlm", "stream": True, "messages": [{"role": "user", "content": "Slow?"}]}
    with asking.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = response.iter_lines()
        next(lines)
        until(lambda: model.calls > calls)
    run = asking.get("/runs").json()["runs"][-1]["run"]
    assert ended(asking, run)["status"] == "stopped"


def test_more_questions_at_once_than_allowed_are_refused(asking):
    runs = [start(asking, "Slow?") for _ in range(4)]
    refused = asking.post("/runs", json={"question": "Hello?"})
    assert refused.status_code == 429
    assert "4 questions are being answered" in refused.json()["error"]["message"]
    for run in runs:
        asking.post(f"/runs/{run}/stop")
    for run in runs:
        ended(asking, run)


def test_a_run_costs_no_more_than_the_request_allows(asking):
    told = ended(asking, start(asking, "Hello?", max_cost=0.000001))
    assert told["answer"] is None
    assert "LimitReachedError" in told["error"]


def test_nothing_is_left_running_when_the_server_is_told_to_end(tmp_path):
    with OpenAIServer(reply) as model, served(model) as (address, process):
        with client(address) as asking:
            start(asking, "Slow?", files={"a.txt": base64.b64encode(b"x").decode()})
            until(lambda: model.calls > 0)
            others = psutil.Process(process.pid).children(recursive=True)
            assert others
        hearing = threading.Thread(target=process.terminate)
        hearing.start()
        assert process.wait(20) == 0
        assert psutil.wait_procs(others, timeout=10)[1] == []


def test_it_needs_no_extra():
    begin = "import sys; sys.modules['mcp'] = None; from rlm_jupyter.cli import main; "
    words = [sys.executable, "-c", begin + "sys.exit(main(['serve', '--port', '70000']))"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "Port 70000 cannot be used" in done.stderr
