"""Images for models: those that agents' code sends with a prompt, and the pictures of cells that an agent's model sees."""

import asyncio
import base64
import io
import json
import threading

import numpy as np
import pytest
from openai_server import OpenAIServer, Reply, error
from PIL import Image as PILImage
from run_parts import until

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.agent import cell_pictures
from rlm_jupyter.engine.agent.chat_size import Gauge
from rlm_jupyter.engine.agent.prompt import system_prompt
from rlm_jupyter.engine.agent.small_prompt import system_prompt as small_system_prompt
from rlm_jupyter.engine.agent_requests import received_images
from rlm_jupyter.engine.agent_requests.received_images import ImageRoom
from rlm_jupyter.models import OpenAIChat, RetryPolicy, ScriptedModel, Usage, model_statistics
from rlm_jupyter.models.images import Image
from rlm_jupyter.records import load

DRAW = "import matplotlib.pyplot as plt\nplt.plot([1, 2, 4])\nplt.title('Sales')\nplt.show()"
COLORS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


@pytest.fixture(autouse=True)
def nothing_learnt(monkeypatch):
    monkeypatch.setattr(model_statistics, "_known", type(model_statistics._known)())


def parts(message):
    """The images of a message as it came over the wire, opened."""
    content = message["content"]
    urls = (
        []
        if isinstance(content, str)
        else [p["image_url"]["url"] for p in content if p["type"] == "image_url"]
    )
    assert all(url.startswith("data:image/png;base64,") for url in urls)
    return [PILImage.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]


def text(message):
    content = message["content"]
    return content if isinstance(content, str) else content[0]["text"]


def color(image):
    found = image.convert("RGB").getpixel((0, 0))
    return next((name for name, value in COLORS.items() if value == found), str(found))


def look(message):
    """What a model that sees answers: the colours of its images."""
    return ", ".join(color(image) for image in parts(message)) or "nothing to see"


def agent(cells, plain=look, **usage):
    """A script: the cells of the root, in order, and `plain` for completions that are no turn."""

    def script(request):
        messages = request["messages"]
        if messages[0]["role"] != "system":
            answer = plain(messages[-1])
            return Reply(answer, **usage) if isinstance(answer, str) else answer
        turn = sum(message["role"] == "assistant" for message in messages)
        return f"```repl\n{cells[turn]}\n```"

    return script


@pytest.fixture
def start(tmp_path):
    """Start a run against a server; all are closed at the end."""
    runs = []

    def begin(
        server,
        context=None,
        *,
        question="What is it?",
        limits=None,
        cache=False,
        name="test-model",
        **settings,
    ):
        model = OpenAIChat(
            name, base_url=server.url, api_key="sk-test-0123456789", retry=RetryPolicy(first_wait=0.001)
        )
        limits = limits or Limits(cost=None)
        rlm = RLM(model=model, limits=limits, log_dir=tmp_path / "logs", cache=cache, **settings)
        runs.append(rlm.start(question, context))
        return runs[-1].wait(200)

    yield begin
    for run in runs:
        run.close()


def turns(server):
    return [request["messages"] for request in server.requests if request["messages"][0]["role"] == "system"]


def prints(run):
    return [cell.output for turn in run.tree.agents["0"].turns for cell in turn.cells]


# ---- images that code sends


def test_a_model_sees_each_kind_of_image_that_code_sends_in_order(start, tmp_path):
    code = """
import io, pathlib, numpy as np, matplotlib.pyplot as plt
from PIL import Image
blue = Image.new("RGB", (8, 4), "blue")
stream = io.BytesIO()
blue.save(stream, "PNG")
pathlib.Path("scan.png").write_bytes(stream.getvalue())
figure = plt.figure(facecolor="green")
kinds = [context, np.full((4, 5), 255, "uint8"), stream.getvalue(), stream, pathlib.Path("scan.png"), open("scan.png", "rb"), figure]
print(llm_query("Which colours?", images=kinds))
print(llm_query("Which colour?", images=context))
plt.close()
"""
    with OpenAIServer(agent([code, "FINAL(1)"])) as server:
        run = start(server, PILImage.new("RGB", (8, 4), "red"))
    assert run.status == "done", run.error
    assert prints(run)[0].split("\n")[:2] == ["red, white, blue, blue, blue, blue, green", "red"]
    asked = [text(r["messages"][0]) for r in server.requests if r["messages"][0]["role"] == "user"]
    assert asked == ["Which colours?", "Which colour?"]


def test_a_batch_gives_each_prompt_its_own_images_and_its_answers_in_order(start):
    code = """
print(llm_query_batched([f"{n}?" for n in range(4)], images=[context[0], [context[1], context[2]], None, []]))
print(llm_query_batched("Which?", images=context * 4))
print(llm_query_batched(["a", "b"], images=[context[0], "https://host.example/x.png"])[1])
"""
    turn = threading.Lock()
    waits = iter([0.3, 0.1, 0.0] * 10)

    def plain(message):
        with turn:
            return Reply(look(message), latency=next(waits))

    images = [PILImage.new("RGB", (3, 3), name) for name in ("red", "green", "blue")]
    with OpenAIServer(agent([code, "FINAL(1)"], plain)) as server:
        run = start(server, images)
    assert run.status == "done", run.error
    first, second, third = prints(run)[0].split("\n")
    assert first == str(["red", "green, blue", "nothing to see", "nothing to see"])
    assert second == str(["red", "green", "blue"] * 4)
    assert "is an address, and nothing is fetched" in third
    assert server.peak > 1


CALLS = {
    "llm_query('q', images=['https://host.example/a.png'])": "unencodable: `images[0]` is an address, and nothing is fetched",
    "llm_query('q', images='https://host.example/a.png')": "unencodable: `images[0]` is an address",
    "llm_query('q', images=[context] * 21)": "unencodable: `images` has 21 images; the most of one prompt is 20",
    "llm_query('q', images=[7])": "unencodable: `images[0]` is a `int`",
    "llm_query('q', images=[b'GIF89a'])": "unencodable: `images[0]` cannot be read as an image",
    "llm_query_batched(['a', 'b'], images=[context])": "ValueError: There are 2 prompts and 1 entries of `images`",
    "llm_query(context, images=[context])": "TypeError: `images` go with a plain prompt",
    "llm_query('q', images=[context], tools=['x'])": "TypeError: `images` go with a plain prompt",
    "llm_query('q', images=[__import__('pathlib').Path('none.png')])": "FileNotFoundError",
}


def test_what_is_no_image_is_an_error_in_the_kernel_and_nothing_is_sent(start):
    tried = "".join(
        f"try:\n    print({call})\nexcept Exception as e:\n    print(getattr(e, 'kind', type(e).__name__) + ':', e)\n"
        for call in CALLS
    )
    with OpenAIServer(agent([tried, "FINAL(1)"])) as server:
        run = start(server, PILImage.new("RGB", (3, 3)))
    lines = prints(run)[0].split("\n")
    assert [line[: len(wanted)] for line, wanted in zip(lines, CALLS.values(), strict=True)] == list(
        CALLS.values()
    )
    assert len(server.requests) == len(turns(server))


def test_a_file_that_the_kernel_may_not_read_is_not_sent(start, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"x")
    code = f"import pathlib\nllm_query('q', images=[pathlib.Path({str(tmp_path / 'secret.png')!r})])"
    with OpenAIServer(agent([code, "FINAL(1)"])) as server:
        run = start(server)
    assert "PermissionError" in prints(run)[0]
    assert len(server.requests) == len(turns(server))


FORGED = {
    "[b'not a picture']": "not a PNG file",
    "[]": "The `images` of a prompt is not a list of at most 20 files",
    "['https://host.example/a.png']": "The `images` of a prompt is not a list of at most 20 files",
    "{'a': 1}": "The `images` of a prompt is not a list of at most 20 files",
    "[png] * 21": "The `images` of a prompt is not a list of at most 20 files",
    "[bomb]": "too large",
    "[b'x' * 30_000_000]": "The `images` of a prompt has more than 20,000,000 bytes",
}


def test_a_kernel_that_sends_something_else_than_images_reaches_no_model(start):
    code = """
import sys, struct, zlib
words = next(m for name, m in sys.modules.items() if name.endswith("guest.agent_api"))
png = words.encode_images([context])[0]
bomb = png[:16] + struct.pack(">II", 60_000, 60_000) + png[24:]
for forged in ({forged}):
    words.encode_images = lambda _: forged
    try:
        print(llm_query("q", images=[1]))
    except Exception as e:
        print(e.kind, e)
""".replace("{forged}", ", ".join(FORGED))
    with OpenAIServer(agent([code, "FINAL(1)"])) as server:
        run = start(server, PILImage.new("RGB", (3, 3)))
    assert run.status == "done", run.error
    for line, why in zip(prints(run)[0].split("\n"), FORGED.values(), strict=True):
        assert line.startswith("failed ")
        assert why in line
    assert len(server.requests) == len(turns(server))


def test_a_model_that_takes_no_images_is_named_in_the_error(start):
    code = "try:\n    llm_query('q', images=[context])\nexcept Exception as e:\n    print(e.kind, e)"
    refuse = lambda message: error(400, "this model does not support image input")  # noqa: E731
    with OpenAIServer(agent([code, "FINAL(1)"], refuse)) as server:
        run = start(server, PILImage.new("RGB", (3, 3)))
    assert run.status == "done"
    assert prints(run)[0].startswith("failed The model `test-model` at ")
    assert "does not take images (400)" in prints(run)[0]
    assert len(server.requests) == 3


def test_an_answer_that_does_not_match_its_schema_is_asked_again_with_the_image(start):
    answers = iter(["seven", "7"])
    code = "print(llm_query('q', schema=int, images=[context]))"
    with OpenAIServer(agent([code, "FINAL(1)"], lambda _: next(answers))) as server:
        run = start(server, PILImage.new("RGB", (3, 3), "red"))
    assert prints(run)[0] == "7"
    assert [
        color(parts(r["messages"][0])[0]) for r in server.requests if r["messages"][0]["role"] == "user"
    ] == ["red"] * 2


def test_no_image_is_sent_at_all_if_that_is_switched_off(start):
    code = f"{DRAW}\ntry:\n    llm_query('q', images=[context])\nexcept Exception as e:\n    print(e.kind, e)"
    with OpenAIServer(agent([code, "FINAL(1)"])) as server:
        run = start(server, PILImage.new("RGB", (3, 3)), see=False)
    assert "failed No images are sent to models in this run (`see=False`)" in prints(run)[0]
    assert "image_url" not in json.dumps(server.requests)


# ---- the log, the cache, the limits


def test_the_log_and_the_chats_have_a_reference_and_not_the_image(start):
    code = "print(llm_query('Which colour?', images=[context]))"
    with OpenAIServer(agent([DRAW, code, "FINAL(1)"])) as server:
        run = start(server, PILImage.new("RGB", (300, 200), "red"), see=True)
    (sent,) = [r["messages"][0] for r in server.requests if r["messages"][0]["role"] == "user"]
    data = base64.b64decode(sent["content"][1]["image_url"]["url"].partition(",")[2])
    reference = Image(data, 300, 200).reference
    (call,) = run.tree.agents["0"].calls
    assert call.messages[0]["content"] == f"Which colour?\n\n{reference}"
    prompts = [line for line in run.log_path.read_text().splitlines() if '"prompt_sent"' in line]
    assert len(prompts) == 4
    assert not any("iVBORw0KGgo" in line for line in prompts)
    assert sum("[image: " in line for line in prompts) == 2
    past = load(run.log_path).tree.agents["0"]
    assert past.calls[0].messages == call.messages
    shown = past.turns[1].call.messages
    assert "\n\n[image: " in shown[-1]["content"]
    told = [message["content"] for message in run.messages()]
    assert told[3].startswith('Output:\n<line chart, "Sales"')
    assert not any("[image: " in content for content in told), "it left the chat with the next observation"
    assert past.turns[2].call.messages[0]["content"] == told[3], "and the log tells that it did"


def test_the_cache_knows_a_prompt_by_its_images(start, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    code = "print(llm_query('Which?', images=[context]))"

    def asked(server, name):
        before = len(server.requests)
        run = start(server, PILImage.new("RGB", (3, 3), name), cache=True)
        assert run.status == "done", run.error
        until(lambda: run.status == "done")
        new = server.requests[before:]
        return prints(run)[0], sum(r["messages"][0]["role"] == "user" for r in new)

    with OpenAIServer(agent([code, "FINAL(1)"])) as server:
        assert asked(server, "red") == ("red", 1)
        assert asked(server, "red") == ("red", 0)
        assert asked(server, "blue") == ("blue", 1)
        assert asked(server, "blue") == ("blue", 0)


def test_a_batch_with_images_stays_below_the_limit_of_tokens(start):
    image = Image(b"", 1200, 1000)
    each = image.most_tokens() + 20  # as dear as any provider's
    limit = 60_000
    usage = {"prompt_tokens": each, "completion_tokens": 10, "total_tokens": each + 10}
    code = (
        "found = llm_query_batched('q', images=[context] * 12)\nprint(sum(bool(f) for f in found), found[-1])"
    )

    def script(request):
        if request["messages"][0]["role"] == "system":
            turn = sum(message["role"] == "assistant" for message in request["messages"])
            cell = [code, "FINAL(1)"][turn]
            return Reply(f"```repl\n{cell}\n```", usage={"prompt_tokens": 10, "completion_tokens": 10})
        return Reply("ok", usage=usage, latency=0.1)

    with OpenAIServer(script) as server:
        run = start(
            server,
            PILImage.new("RGB", (1200, 1000)),
            limits=Limits(cost=None, tokens=limit),
            completion_tokens=100,
            sub_completion_tokens=100,
        )
    spent = sum(r["messages"][0]["role"] == "user" for r in server.requests) * (each + 10)
    assert 2 * each < spent <= limit
    assert run.status in ("done", "limit")


def test_an_image_is_reserved_before_it_is_sent(start):
    code = "try:\n    llm_query('q', images=[context])\nexcept Exception as e:\n    print(e.kind)\nprint(llm_query('q'))"
    with OpenAIServer(agent([code, "FINAL(1)"])) as server:
        run = start(
            server,
            PILImage.new("RGB", (1500, 1500)),
            limits=Limits(cost=None, tokens=9_000),
            completion_tokens=200,
        )
    sent = [r["messages"][0] for r in server.requests if r["messages"][0]["role"] == "user"]
    assert not any(parts(message) for message in sent)
    assert "limit" in prints(run)[0] or run.status == "limit"


async def test_images_wait_in_their_turn_until_there_is_room_for_them():
    room, order = ImageRoom(100), []

    async def hold(name, size, until_set):
        async with room.hold(size):
            order.append(name)
            await until_set.wait()

    ends = [asyncio.Event() for _ in range(4)]
    tasks = [
        asyncio.create_task(hold(name, size, end))
        for name, size, end in zip("abcd", (60, 60, 10, 500), ends, strict=True)
    ]
    await asyncio.sleep(0.05)
    assert order == ["a"], "the third waits behind the second, so that large ones have their turn"
    ends[0].set()
    await asyncio.sleep(0.05)
    assert order == ["a", "b", "c"]
    tasks[1].cancel()
    ends[2].set()
    await asyncio.sleep(0.05)
    assert order == ["a", "b", "c", "d"], "alone, any size has room"
    ends[3].set()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_images_that_have_no_room_wait_and_all_are_answered(start, monkeypatch):
    monkeypatch.setattr(received_images, "MOST_HELD", 1)
    code = "print(llm_query_batched('Which?', images=[context] * 6))"
    with OpenAIServer(agent([code, "FINAL(1)"]), latency=0.05) as server:
        run = start(server, PILImage.new("RGB", (3, 3), "red"))
    assert prints(run)[0] == str(["red"] * 6)
    assert server.peak == 1


def test_the_size_of_a_chat_counts_its_pictures_and_is_not_learnt_from_them():
    plain: list = [{"role": "user", "content": "x" * 300}]
    shown = [{**plain[0], "images": (Image(b"", 640, 480),)}]
    gauge = Gauge()
    gauge.learn(shown, Usage(5_000, 10))
    assert gauge.tokens(plain) == 100
    assert gauge.tokens(shown) == 100 + Image(b"", 640, 480).tokens


# ---- pictures that cells show


def test_without_being_asked_no_picture_of_a_cell_goes_to_a_model(start):
    with OpenAIServer(agent([DRAW, "FINAL(1)"])) as server:
        run = start(server, [1])
    assert run.status == "done"
    assert all(
        set(m) == {"role", "content"} and isinstance(m["content"], str)
        for chat in turns(server)
        for m in chat
    )
    assert "iVBORw0KGgo" not in json.dumps(server.requests)
    assert turns(server)[0][0]["content"] == system_prompt()
    assert "images" not in system_prompt() + system_prompt(leaf=True) + small_system_prompt(
        sub_calls=True, instructions=None
    )


def test_a_model_that_sees_is_shown_the_pictures_of_the_last_cell_alone(start):
    cells = [DRAW, "print('text')", f"{DRAW}\ndisplay(context)", "FINAL(1)"]
    with OpenAIServer(agent(cells)) as server:
        run = start(server, PILImage.new("RGB", (30, 20), "red"), see=True)
    assert run.status == "done", run.error
    seen = [[len(parts(message)) for message in chat if message["role"] == "user"] for chat in turns(server)]
    assert seen == [[0], [0, 1], [0, 0, 0], [0, 0, 0, 2]]
    figure, image = parts(turns(server)[3][-1])
    assert figure.width > 500
    assert color(image) == "red"
    assert "<line chart" in text(turns(server)[3][-1])
    # what an earlier request had is in the next one as it was, up to the picture
    for before, after in zip(turns(server), turns(server)[1:], strict=False):
        assert [text(message) for message in after[: len(before)]] == [text(message) for message in before]


def test_a_picture_stays_while_replies_without_code_leave_the_chat(start):
    replies = iter([f"```repl\n{DRAW}\n```", "I see.", "Well, I see.", "```repl\nFINAL(1)\n```"])
    with OpenAIServer(lambda _: next(replies)) as server:
        run = start(server, [1], see=True, prompt="small", require_look=False)
    assert run.status == "done", run.error
    assert [len(parts(chat[-1])) for chat in turns(server)] == [0, 1, 1, 1]
    assert len({len(chat) for chat in turns(server)[1:]}) == 1


def test_of_many_pictures_the_newest_are_shown(start):
    cell = "for name in ['white', 'white', 'white', 'red', 'green', 'blue', 'white']:\n    display(type(context).new('RGB', (3, 3), name))"
    cell = cell.replace("type(context)", "__import__('PIL.Image').Image")
    with OpenAIServer(agent([cell, "FINAL(1)"])) as server:
        start(server, [1], see=True)
    assert [color(image) for image in parts(turns(server)[1][-1])] == ["red", "green", "blue", "white"]


def test_pictures_are_shown_also_where_the_log_has_no_more_room_for_them(start, monkeypatch):
    monkeypatch.setattr(cell_pictures, "RUN_BYTES", 10)
    with OpenAIServer(agent([DRAW, "FINAL(1)"])) as server:
        run = start(server, [1], see=True)
    assert len(parts(turns(server)[1][-1])) == 1
    assert run.tree.agents["0"].turns[0].cells[0].pictures[0].png == ""


@pytest.mark.parametrize(
    "refusal",
    [
        error(400, "this model does not support image input"),
        error(400, "此模型不支持图像输入"),
        error(500, "image input is not supported"),
    ],
    ids=["known words", "other words", "a server error"],
)
def test_a_refusal_of_pictures_is_told_once_and_the_run_goes_on(start, refusal):
    cells = [DRAW, DRAW, "FINAL(1)"]
    plain = agent(cells)

    def script(request):
        return refusal if any(parts(message) for message in request["messages"]) else plain(request)

    with OpenAIServer(script) as server:
        run = start(server, [1], see=True)
        assert run.status == "done", run.error
        assert sum(bool(parts(chat[-1])) for chat in turns(server)) == 1
        notices = [line for line in run.log_path.read_text().splitlines() if '"notice"' in line]
        assert sum("`test-model` does not take images" in line for line in notices) == 1
        before = len(server.requests)
        again = start(server, [1], see=True)
        assert again.status == "done", again.error
        assert not any(parts(chat[-1]) for chat in turns(server)[before:]), "it was learnt for this process"


def test_an_error_that_is_not_about_the_pictures_is_told_as_it_is(start):
    plain = agent([DRAW, "FINAL(1)"])

    def script(request):
        return error(400, "no more of this") if len(request["messages"]) > 2 else plain(request)

    with OpenAIServer(script) as server:
        run = start(server, [1], see=True)
    assert run.status == "failed"
    assert "no more of this" in str(run.error)
    assert not model_statistics.statistics_of(
        OpenAIChat("test-model", base_url=server.url, api_key="x")
    ).refuses_images


def test_a_follow_up_does_not_send_the_pictures_of_the_run_before(start, tmp_path):
    cells = [f"{DRAW}\n", "FINAL(1)", "FINAL(2)"]
    with OpenAIServer(agent(cells)) as server:
        run = start(server, [1], see=True)
        model = OpenAIChat("test-model", base_url=server.url, api_key="sk-test-0123456789")
        rlm = RLM(model=model, limits=Limits(cost=None), log_dir=None, cache=False, see=True)
        more = rlm.start("And now?", continues=run).wait(100)
        assert more.status == "done", more.error
        assert not any(parts(message) for message in turns(server)[-1])
        more.close()


def test_a_scripted_model_is_handed_the_picture_beside_the_text(tmp_path):
    model = ScriptedModel([f"```repl\n{DRAW}\n```", "```repl\nFINAL(1)\n```"])
    with RLM(model=model, see=True, log_dir=None, cache=False).start("q", [1]).wait(100) as run:
        assert run.status == "done"
    (image,) = model.requests[1].messages[-1]["images"]
    assert np.asarray(PILImage.open(io.BytesIO(image.png))).shape[:2] == (image.height, image.width)
    assert "images" not in model.requests[0].messages[-1]


def test_a_model_that_says_that_it_sees_is_shown_pictures_unless_that_is_switched_off():
    for see, expected in ((None, 1), (False, 0)):
        model = ScriptedModel([f"```repl\n{DRAW}\n```", "```repl\nFINAL(1)\n```"])
        model.sees = True
        with RLM(model=model, see=see, log_dir=None, cache=False).start("q", [1]).wait(100) as run:
            assert run.status == "done"
        assert len(model.requests[1].messages[-1].get("images", ())) == expected
        assert ("images=" in model.requests[0].messages[0]["content"]) is bool(expected)


# ---- the prompt


def test_the_prompt_tells_of_images_only_to_agents_whose_model_sees(start):
    for variant in ("default", "frugal", "small_context"):
        for leaf in (False, True):
            told = system_prompt(variant, leaf=leaf, images=True)
            assert len(told) <= 4500
            assert "llm_query(prompt, images=[" in told
            assert "llm_query_batched(prompts, images=[" in told
    assert system_prompt(sub_calls=False, images=True) == system_prompt(sub_calls=False)
    with OpenAIServer(agent(["FINAL(1)"])) as server:
        for see, told in ((True, True), (None, False), (False, False)):
            start(server, [1], see=see)
            assert turns(server)[-1][0]["content"] == system_prompt(images=told)


def test_a_small_models_prompt_tells_of_images_too(start):
    with OpenAIServer(agent(["FINAL(1)"])) as server:
        start(server, [1], see=True, prompt="small", require_look=False)
        start(server, [1], prompt="small", require_look=False)
    told, untold = (chat[0]["content"] for chat in turns(server)[:1] + turns(server)[-1:])
    assert "images=images" in told
    assert untold == small_system_prompt(sub_calls=True, instructions=None)
