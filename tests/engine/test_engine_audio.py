"""Audio that agents' code sends with a prompt, from the kernel to the server, into the log, the cache and the ledger."""

import base64
import json
import re

import pytest
from made_sounds import sound
from openai_server import OpenAIServer, Reply

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.agent.prompt import system_prompt
from rlm_jupyter.engine.agent.small_prompt import system_prompt as small_system_prompt
from rlm_jupyter.models import OpenAIChat, Price, RetryPolicy
from rlm_jupyter.models.local import known_servers
from rlm_jupyter.records import load

SAY = """
import io, wave
def say(value, seconds=1):
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", None))
        file.writeframes(bytes([value]) * int(8000 * seconds))
    return stream.getvalue()
"""


@pytest.fixture
def start(tmp_path):
    """Start a run against a server; all are closed at the end."""
    known_servers.forget_servers()
    runs = []

    def begin(server, context=None, *, limits=None, cache=False, price=None, **settings):
        model = OpenAIChat(
            "test-model",
            base_url=server.url,
            api_key="sk-test-0123456789",
            price=price,
            retry=RetryPolicy(first_wait=0.001),
        )
        limits = limits or Limits(cost=None)
        rlm = RLM(model=model, limits=limits, log_dir=tmp_path / "logs", cache=cache, **settings)
        runs.append(rlm.start("What is it?", context))
        return runs[-1].wait(200)

    yield begin
    for run in runs:
        run.close()


def agent(cells, plain):
    """A script: the cells of the root, in order, and `plain` for completions that are no turn."""

    def script(request):
        messages = request["messages"]
        if messages[0]["role"] != "system":
            return plain(messages[-1])
        turn = sum(message["role"] == "assistant" for message in messages)
        return f"```repl\n{cells[turn]}\n```"

    return script


def turns(server):
    return [request["messages"] for request in server.requests if request["messages"][0]["role"] == "system"]


def prints(run):
    return [cell.output for turn in run.tree.agents["0"].turns for cell in turn.cells]


def files(message):
    content = message["content"]
    parts = (
        [] if isinstance(content, str) else [p["input_audio"] for p in content if p["type"] == "input_audio"]
    )
    assert all(part["format"] == "wav" for part in parts)
    return [base64.b64decode(part["data"]) for part in parts]


def listen(message):
    """What a model that hears answers: the last sample of each file, and whether it saw something besides."""
    content = message["content"]
    seen = " and an image" * (not isinstance(content, str) and any(p["type"] == "image_url" for p in content))
    return (", ".join(str(file[-1]) for file in files(message)) or "silence") + seen


def asked(server):
    return [r["messages"][0] for r in server.requests if r["messages"][0]["role"] == "user"]


def test_a_model_hears_what_code_sends_alone_in_batches_and_beside_images(start):
    code = f"""{SAY}
import pathlib, numpy as np
path = pathlib.Path("call.wav")
path.write_bytes(say(7))
picture = np.zeros((3, 3), "uint8")
print(llm_query("Which?", audio=[path, say(8), open(path, "rb"), io.BytesIO(say(9))]))
print(llm_query("Which?", audio=path, images=picture))
print(llm_query_batched("Which?", audio=[say(1), [say(2), say(3)], None, []]))
print(llm_query_batched(["a", "b"], audio=[say(1), None], images=[picture, picture]))
print(llm_query("Which?"))
"""
    with OpenAIServer(agent([code, "FINAL(1)"], listen)) as server:
        run = start(server)
    assert run.status == "done", run.error
    assert prints(run)[0].split("\n")[:5] == [
        "7, 8, 7, 9",
        "7 and an image",
        str(["1", "2, 3", "silence", "silence"]),
        str(["1 and an image", "silence and an image"]),
        "silence",
    ]
    (call, *_) = run.tree.agents["0"].calls
    reference = sound(7, 1).reference
    assert call.messages[0]["content"].startswith(
        f"Which?\n\n{reference}\n\n[audio: WAV, 1.0 seconds, 8,044 bytes"
    )
    assert load(run.log_path).tree.agents["0"].calls[0].messages == call.messages
    assert not re.search(r"UklGR|RIFF", run.log_path.read_text()), "the log has no bytes of it"


CALLS = {
    "llm_query('q', audio=['https://host.example/a.wav'])": "unencodable: `audio[0]` is an address, and nothing is fetched",
    "llm_query('q', audio=b'OggS')": "unencodable: `audio[0]` is a Ogg file",
    "llm_query('q', audio=[say(1)] * 11)": "unencodable: `audio` has 11 files",
    "llm_query_batched(['a', 'b'], audio=[say(1)])": "ValueError: There are 2 prompts and 1 entries of `audio`",
    "llm_query_batched(['a'], images=[None], audio=[])": "ValueError: There are 1 prompts and 0 entries of `audio`",
    "llm_query_batched(['a'], audio=[say(1)], per=2)": "ValueError: `audio` go one prompt to a request",
    "llm_query_batched('a', audio=say(1))": "TypeError: `audio` of a batch is a list, one entry for each prompt",
    "llm_query_batched('a', audio=io.BytesIO(say(1)))": "TypeError: `audio` of a batch is a list",
    "llm_query_batched(['a'], images='x.png')": "TypeError: `images` of a batch is a list",
    "llm_query([1], audio=[say(1)])": "TypeError: `audio` go with a plain prompt",
    "forged('q', [b'RIFF'])": "failed: `audio[0]` is neither a WAV nor an MP3 file",
    "forged('q', ['a'])": "failed: The `audio` of a prompt is not a list of at most 10 files",
}


def tried(calls):
    return (
        SAY
        + """
import sys
words = next(m for name, m in sys.modules.items() if name.endswith("guest.agent_api"))
def forged(prompt, files):
    kept, words.encode_audio = words.encode_audio, lambda _: files
    try:
        return llm_query(prompt, audio=[1])
    finally:
        words.encode_audio = kept
"""
        + "".join(
            f"try:\n    print({call})\nexcept Exception as e:\n    print(getattr(e, 'kind', type(e).__name__) + ':', e)\n"
            for call in calls
        )
    )


def test_what_is_no_audio_is_an_error_of_the_code_and_nothing_is_sent(start):
    with OpenAIServer(agent([tried(CALLS), "FINAL(1)"], listen)) as server:
        run = start(server)
    lines = prints(run)[0].split("\n")
    for line, wanted in zip(lines, CALLS.values(), strict=True):
        assert line.startswith(wanted)
    assert len(server.requests) == len(turns(server))


@pytest.mark.parametrize("off", ["see", "server"])
def test_no_audio_is_sent_where_it_is_switched_off_or_known_not_to_be_heard(start, off):
    with OpenAIServer(
        agent([tried(["llm_query('q', audio=say(1))"]), "FINAL(1)"], listen), models=["test-model"]
    ) as server:
        if off == "server":
            server.owner, server.props = "llamacpp", {"modalities": {"vision": True, "audio": False}}
        run = start(server, **({"see": False} if off == "see" else {}))
    why = {
        "see": "failed: No audio is sent to models in this run (`see=False`)",
        "server": "failed: `test-model` does not take audio: nothing was sent",
    }
    assert prints(run)[0].startswith(why[off])
    assert "input_audio" not in json.dumps(server.requests)


def test_agents_are_told_of_audio_if_the_model_of_plain_completions_is_known_to_hear(start):
    with OpenAIServer(agent(["FINAL(1)"], listen), models=["test-model"]) as server:
        server.owner, server.props = "llamacpp", {"modalities": {"vision": False, "audio": True}}
        start(server)
    (first,) = turns(server)
    assert first[0]["content"] == system_prompt(audio=True)
    assert "`audio=` lets the model hear" in system_prompt(audio=True)
    assert "audio" not in system_prompt() + small_system_prompt(sub_calls=True, instructions=None)
    assert "audio=" in small_system_prompt(sub_calls=True, instructions=None, audio=True)


def test_the_cache_knows_a_prompt_by_its_audio(start, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def sent(server, value):
        before = len(asked(server))
        run = start(server, value, cache=True)
        assert run.status == "done", run.error
        return prints(run)[0], len(asked(server)) - before

    with OpenAIServer(
        agent([f"{SAY}print(llm_query('Which?', audio=say(context)))", "FINAL(1)"], listen)
    ) as server:
        assert sent(server, 1) == ("1", 1)
        assert sent(server, 1) == ("1", 0)
        assert sent(server, 2) == ("2", 1)


def test_audio_is_reserved_before_it_is_sent(start):
    code = tried(["llm_query('q', audio=say(1, 600))", "llm_query('q')"])  # 30,000 tokens at the most
    with OpenAIServer(agent([code, "FINAL(1)"], listen)) as server:
        run = start(server, limits=Limits(cost=None, tokens=25_000), completion_tokens=1_000)
    assert not any(files(message) for message in asked(server))
    assert prints(run)[0].startswith("limit: ")
    assert len(asked(server)) == 1, "and a prompt without it is sent"


def test_tokens_of_audio_are_counted_at_the_price_of_audio(start, monkeypatch):
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}
    monkeypatch.setattr("rlm_jupyter.models.prices.audio_price", lambda _: 32.0)
    code = f"{SAY}print(llm_query('q', audio=say(1)))"

    def script(request):
        if request["messages"][0]["role"] == "user":
            return Reply("ok", usage=usage)
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        return Reply(
            f"```repl\n{[code, 'FINAL(1)'][turn]}\n```", usage={"prompt_tokens": 10, "completion_tokens": 0}
        )

    with OpenAIServer(script) as server:
        run = start(server, price=Price(2.5, 0))
    assert run.status == "done", run.error
    assert run.cost == pytest.approx(32.0, abs=0.01)


def test_files_that_are_the_data_of_a_run_are_heard_where_they_lie(start, tmp_path):
    for number in (4, 5):
        (tmp_path / "calls").mkdir(exist_ok=True)
        (tmp_path / "calls" / f"{number}.wav").write_bytes(sound(number, 1).data)
    code = "print(llm_query_batched('Which?', audio=sorted(context.glob('*.wav'))))"
    with OpenAIServer(agent([code, "FINAL(1)"], listen)) as server:
        run = start(server, tmp_path / "calls")
    assert prints(run)[0] == str(["4", "5"])
