"""`env=` reaches agents' kernels, and nothing else: no prompt, event, log or view."""

import base64
import os
import urllib.parse

import pytest
from tool_runs import asking, told

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.journal import Journal
from rlm_jupyter.events.redact_events import Cleaner
from rlm_jupyter.records import load
from rlm_jupyter.security.redactor import MARK, Redactor
from rlm_jupyter.views.static_html import static_html

PIN = "hunter2hunter2"


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


def test_a_variable_is_in_every_agents_kernel_and_not_in_the_hosts(ask):
    script = {
        "root": [
            "import os\nFINAL([os.environ['PIN'] == 'HUNTER2'.lower() * 2, rlm_query('child', context=1)])"
        ],
        "child": ["import os\nFINAL(os.environ['PIN'] == 'HUNTER2'.lower() * 2)"],
    }
    assert ask(script, env={"PIN": PIN}).value == [True, True]
    assert "PIN" not in os.environ


def test_its_value_reaches_no_prompt_event_log_or_page_however_it_gets_out(ask):
    def leak():
        """Print what it should not."""
        import os

        print("tool says", os.environ["PIN"])  # noqa: T201

    script = {
        "root": [
            "import os\npin = os.environ['PIN']\nprint(pin)\nprint(repr(pin), {pin: [pin]})\nleak()",
            "pin",
            "raise ValueError(pin)",
            (
                "a = llm_query('say ' + pin)\n"
                "b = rlm_query('child', context=[pin])\n"
                "c = rlm_query('child', context={pin: 1}, name=pin)\n"
                "print('x' * 3995 + pin + 'y' * 20000)"
            ),
            "FINAL([pin, b])",
        ],
        "child": ["import sys, os\nprint(context)\nprint(os.environ['PIN'], file=sys.stderr)\nFINAL('ok')"],
    }
    run = ask(script, tools=[leak], env={"PIN": PIN}, plain=lambda prompt: prompt)
    assert run.value == [PIN, "ok"]
    for text in (
        told(run),
        "".join(message["content"] for agent in run.agents for message in run.messages(agent)),
        run.log_path.read_text(),
        "".join(event.model_dump_json() for event in run.events),
        repr(run.tree),
        static_html(run.tree),
        repr(load(run.log_path).tree),
    ):
        assert "hunte" not in text
        assert MARK in text


# Long output is cut in the kernel, at 32,768 characters from either end; a traceback at half of 12,000; the text of an
# exception at 2,000. Each time the cut goes through the secret.
_PIN = "import os\npin = os.environ['PIN']\n"
CUTS = {
    "output": "print('x' * (32768 - 8) + pin[:8] + 'z' * 50000 + pin[-8:] + 'y' * (32768 - 9))",
    "head of the output": "print('x' * (32768 - 8) + pin + 'z' * 100000)",
    "exception": "raise ValueError('x' * (2000 - 8) + pin + 'y' * 20000)",
}


@pytest.mark.parametrize("code", CUTS.values(), ids=CUTS)
def test_a_part_of_it_beside_a_cut_reaches_nothing_either(ask, code):
    run = ask({"root": [f"{_PIN}{code}", "FINAL(1)"]}, env={"PIN": PIN}, settings={"output_chars": 100_000})
    assert run.value == 1
    _shows_no_part_of_it(
        run, marked="raise" not in code
    )  # of the exception both ends are shown, which have none of it


def test_a_part_of_it_beside_the_cut_of_a_traceback_reaches_nothing_either(ask):
    # Wherever the cut falls, one of these leaves six characters or more of the secret beside it.
    errors = [f"{_PIN}raise ValueError('x' * {n} + (pin + '-') * 2000)" for n in range(0, 15, 3)]
    run = ask({"root": [*errors, "FINAL(1)"]}, env={"PIN": PIN}, settings={"output_chars": 100_000})
    assert run.value == 1
    assert "characters cut" in run.messages()[3]["content"]
    _shows_no_part_of_it(run)


def _shows_no_part_of_it(run, *, marked=True):
    events = "".join(event.model_dump_json() for event in run.events if isinstance(event, ev.CodeFinished))
    prompts = "".join(str(request.messages) for request in run.rlm.model.requests)
    chat = "".join(message["content"] for message in run.messages())
    for text in (events, prompts, chat, run.log_path.read_text()):
        assert MARK in text or not marked
        assert "hunter" not in text
        assert "unter2" not in text


def test_what_the_model_is_told_extends_the_last_prompt_byte_for_byte_all_the_same(ask):
    run = ask({"root": ["import os\nprint(os.environ['PIN'])", "print(1)", "FINAL(1)"]}, env={"PIN": PIN})
    prompts = [list(request.messages) for request in run.rlm.model.requests]
    assert prompts[2][: len(prompts[1])] == prompts[1]
    assert run.messages()[: len(prompts[2])] == prompts[2]


def test_a_value_that_is_a_word_of_ours_breaks_nothing(ask):
    words = ("running", "assistant", "stopped", "failed", "content", "summary", "tokens", "system", "stdout")
    words = (*words, "seconds", "columns", "interrupted", "llm_query", "fallback")
    run = ask(
        {
            "root": ["print(1)", "llm_query('q')\n1 / 0", "FINAL(rlm_query('child', context=[1]))"],
            "child": ["FINAL(2)"],
        },
        env={f"W{number}": word for number, word in enumerate(words)},
    )
    assert run.raise_for_error().value == 2
    assert run.tree.agents["0.1"].status == "done"
    assert load(run.log_path).tree.agents["0.1"].parent == "0"
    assert run.tree.limits["seconds"] == 1800


def test_a_value_of_less_than_six_characters_is_no_secret(ask):
    run = ask({"root": ["import os\nprint(os.environ['MODE'])", "FINAL(1)"]}, env={"MODE": "prod"})
    assert "prod" in run.messages()[3]["content"]


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"K": 3}, "`K` in `env` must be a text"),
        ({"A=B": "x"}, "cannot be the name"),
        (["K"], "takes a dict"),
        ({"K": "a\0b"}, "must be a text"),
    ],
)
def test_a_wrong_env_is_named_without_its_value(ask, env, says):
    with pytest.raises(ConfigError, match=says):
        ask({"root": ["FINAL(1)"]}, env=env)


@pytest.mark.parametrize("cut", range(1, len(PIN)))
def test_a_secret_in_two_pieces_of_a_stream_is_not_shown(cut):
    journal = Journal("r", Redactor([PIN]))
    seen = []
    journal.subscribe(seen.append)
    for text in ("a " + PIN[:cut], PIN[cut:] + " b", "c"):
        journal.emit(ev.CodeOutput, "0", cell=1, stream="stdout", text=text)
    assert "".join(event.text for event in seen) == f"a {MARK} bc"


def test_what_is_held_back_belongs_to_its_own_stream_and_is_forgotten_with_it():
    clean = Cleaner(Redactor([PIN]))

    def piece(text, cell=1, stream="stdout"):
        return clean.fields(ev.CodeOutput, "0", {"cell": cell, "stream": stream, "text": text})["text"]

    assert piece("x hunter2") == "x "
    assert piece("hunter2", stream="stderr") == ""
    assert piece("hunter3") == "hunter2hunter3"
    assert piece("hunter2") == ""
    clean.fields(ev.CodeFinished, "0", {"cell": 1, "status": "ok", "output": ""})
    assert piece("hunter2", cell=2) == ""
    assert piece("!", cell=2) == "hunter2!"
    assert clean.fields(ev.ReplyDelta, "0", {"call": 1, "text": "hunter2"})["text"] == ""
    clean.fields(ev.ReplyFinished, "0", {"call": 1})
    assert clean.fields(ev.ReplyDelta, "0", {"call": 1, "text": "h."})["text"] == "h."


def encodings(secret):
    raw = secret.encode()
    return {
        "base64": base64.b64encode(raw).decode(),
        "base64 in a text": base64.b64encode(b"key=" + raw + b"&next").decode(),
        "base64 in another text": base64.b64encode(b"a" + raw + b"z").decode(),
        "base64 for URLs": base64.urlsafe_b64encode(b"xy" + raw).decode().rstrip("="),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "URL": urllib.parse.quote(secret, safe=""),
        "reversed": secret[::-1],
    }


@pytest.mark.parametrize("secret", [PIN, "päss/wörd+1", "k" * 8, "sk-" + "7?>~" * 20, "\\'\"<&>\n12"])
@pytest.mark.parametrize("how", list(encodings("x")))
def test_a_secret_that_code_has_encoded_is_recognised(secret, how):
    coded = encodings(secret)[how]
    redact = Redactor([secret])
    shown = redact(f"it is {coded}, says the code")
    assert MARK in shown
    before, after = shown.removeprefix("it is ").removesuffix(", says the code").split(MARK)
    if " in " in how or "URLs" in how:  # what stands beside it is encoded too
        assert max(len(before), len(after)) <= 10
    else:
        assert before + after == ""
        assert all(redact.open_end(coded[:cut]) == cut for cut in range(1, len(coded)))
    assert (
        redact("no secret in these words: kernel, hunter, 707f7e")
        == "no secret in these words: kernel, hunter, 707f7e"
    )


def test_short_secrets_are_not_looked_for_encoded():
    coded = base64.b64encode(b"prod-1").decode()
    assert Redactor(["prod-1"])(f"prod-1 {coded}") == f"{MARK} {coded}"


@pytest.mark.parametrize("text", ["no", "x", "", "keykeyke", "eke", "sk-sk-sk", "k" * 40])
def test_what_may_begin_a_secret_at_a_texts_end_is_found_as_by_trying_all(text):
    secrets = ["keykeykex", "sk-sk-secret", "kkkkkkkkk"]
    redact = Redactor(secrets)
    sizes = [n for n in range(1, len(text) + 1) for form in redact._forms if form[:-1].startswith(text[-n:])]
    assert redact.open_end(text) == max(sizes, default=0)


def test_encoded_values_reach_no_prompt_event_log_or_page(ask):
    code = (
        "import os, base64\npin = os.environ['PIN']\nraw = pin.encode()\n"
        "print(base64.b64encode(raw).decode(), raw.hex(), pin[::-1])\n"
        "print(base64.b64encode(b'Authorization: ' + raw))"
    )
    run = ask({"root": [code, "FINAL([pin[::-1], raw.hex()])"]}, env={"PIN": PIN})
    assert run.value == [PIN[::-1], PIN.encode().hex()]
    log = run.log_path.read_text()
    for text in (told(run), log, static_html(run.tree), str(run.events)):
        assert MARK in text
        for coded in encodings(PIN).values():
            assert coded[3:-3] not in text
