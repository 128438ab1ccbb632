"""DSPy's modules in an agent's code: each request is a plain completion of the run. In real kernels, with a real DSPy."""

import asyncio
import importlib.util
import io

import pytest
from guest_kernel import GuestKernel
from run_parts import asking
from scripts import by_question

from rlm_jupyter import Limits
from rlm_jupyter.errors import LimitReachedError
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.values.codec import api as codec

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dspy") is None, reason="DSPy is not installed: `pip install --group test`"
)

GOOD = "[[ ## sentiment ## ]]\ngood\n\n[[ ## score ## ]]\n3\n\n[[ ## completed ## ]]"
PREDICT = 'import dspy\nrate = dspy.Predict("review -> sentiment, score: int")\n'
TRIED = "try:\n    rate(review='nice')\nexcept Exception as error:\n    found = error\n"


@pytest.fixture(scope="module")
def shared():
    kernel = GuestKernel()
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(shared):
    shared.reset()
    shared.handler = replying(GOOD)
    yield shared
    shared.clear()


def replying(*replies):
    """A handler that gives these replies in turn, the last one again and again."""
    left = list(replies)

    async def handle(op, body, fds):
        reply = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reply, Exception):
            raise reply
        return reply, []

    return handle


def value_of(kernel, code, expression):
    ran = kernel.run(f"{PREDICT}{code}", timeout=120)
    assert (ran.status, ran.error) == ("ok", "")
    return kernel.run(expression).result


def test_a_module_asks_the_run_and_types_its_fields(kernel):
    assert value_of(kernel, "found = rate(review='nice')", "found.sentiment, found.score") == "('good', 3)"
    [(op, body)] = kernel.ops
    assert (op, body["schema"], body["model"], body["fallback"]) == ("llm_query", None, None, False)
    assert body["prompt"].index("Your input fields are") < body["prompt"].index("[[ ## review ## ]]\nnice")


def test_nothing_is_kept_on_disk_and_no_client_of_providers_is_imported(kernel):
    code = "import os, sys\nrate(review='nice')\nrate(review='nice')"
    found = "[name in sys.modules for name in ('litellm', 'openai')], os.path.exists(os.path.expanduser('~/.dspy_cache'))"
    before = kernel.run("import os; os.path.exists(os.path.expanduser('~/.dspy_cache'))").result
    assert value_of(kernel, code, found) == f"([False, False], {before})"
    assert len(kernel.ops) == 2  # the run has a cache of its own, which DSPy's would hide from


def test_a_reply_that_cannot_be_read_is_asked_for_once_more_with_a_schema(kernel):
    kernel.handler = replying("it is good", {"sentiment": "good", "score": 4})
    assert value_of(kernel, "found = rate(review='nice')", "found.sentiment, found.score") == "('good', 4)"
    first, second = (body for _, body in kernel.ops)
    assert first["schema"] is None
    assert set(second["schema"]["properties"]) == {"sentiment", "score"}


def test_patterns_that_the_notebook_does_not_match_are_left_to_dspy(kernel):
    kernel.handler = replying({"price": "12.50"})
    code = (
        "from decimal import Decimal\n"
        "class Price(dspy.Signature):\n    text: str = dspy.InputField()\n    price: Decimal = dspy.OutputField()\n"
        "with dspy.context(adapter=dspy.JSONAdapter()):\n    found = dspy.Predict(Price)(text='12.50')"
    )
    assert value_of(kernel, code, "found.price") == "Decimal('12.5')"
    [(_, body)] = kernel.ops
    assert "(?!" not in str(body["schema"])


def test_a_batch_is_under_way_at_once(kernel):
    arrived, all_there = [], asyncio.Event()

    async def handle(op, body, fds):
        arrived.append(body)
        if len(arrived) == 20:
            all_there.set()
        await all_there.wait()
        return GOOD, []

    kernel.handler = handle
    code = (
        "parallel = dspy.Parallel(disable_progress_bar=True)\n"
        "found = parallel([(rate, {'review': str(number)}) for number in range(20)])"
    )
    assert value_of(kernel, code, "[one.score for one in found] == [3] * 20") == "True"


def test_code_that_awaits_asks_too_and_a_cancelled_task_gives_its_request_up(kernel):
    async def handle(op, body, fds):
        if "hang" in body["prompt"]:
            await asyncio.Event().wait()
        return GOOD, []

    kernel.handler = handle
    code = (
        "import asyncio\n"
        "two = await asyncio.gather(rate.acall(review='a'), rate.acall(review='b'))\n"
        "slow = asyncio.ensure_future(rate.acall(review='hang'))\n"
        "while not slow.done() and len(two) < 3: await asyncio.sleep(1); two.append(slow.cancel())\n"
    )
    assert value_of(kernel, code, "[one.score for one in two[:2]], two[2]") == "([3, 3], True)"
    assert len(kernel.cancelled) == 1


@pytest.mark.parametrize(
    ("kind", "name"), [("limit", "LimitReached"), ("stopped", "Stopped"), ("failed", "RLMQueryError")]
)
def test_errors_of_the_run_are_raised_as_they_are_and_ask_nothing_more(kernel, kind, name):
    kernel.handler = replying(BridgeError(kind, "no more calls"))
    assert value_of(kernel, TRIED, "type(found).__name__, found.message, found.kind") == str(
        (name, "no more calls", kind)
    )
    assert value_of(kernel, TRIED.replace("rate(", "await rate.acall("), "type(found).__name__") == repr(name)
    assert len(kernel.ops) == 2


def test_a_prompt_that_is_too_long_is_what_dspy_shortens_prompts_after(kernel):
    kernel.handler = replying(BridgeError("too_long", "90,000 tokens"))
    told = "isinstance(found, dspy.ContextWindowExceededError), '90,000 tokens' in str(found)"
    assert value_of(kernel, TRIED, told) == "(True, True)"


def test_examples_stand_in_the_prompt_with_their_roles(kernel):
    code = "rate.demos = [dspy.Example(review='bad', sentiment='poor', score=1)]\nrate(review='nice')"
    value_of(kernel, code, "1")
    [(_, body)] = kernel.ops
    parts = [
        "<user>\n[[ ## review ## ]]\nbad",
        "<assistant>\n[[ ## sentiment ## ]]\npoor",
        "[[ ## review ## ]]\nnice",
    ]
    places = [body["prompt"].index(part) for part in parts]
    assert places == sorted(places)


def test_images_go_with_the_request_and_addresses_are_not_fetched(kernel):
    seen = []

    async def handle(op, body, fds):
        seen.append([bytes(one[:8]) for one in codec.load(fds[0], allow_pickle=False)])
        assert "[image 1]" in body["prompt"]
        return "[[ ## answer ## ]]\na dot\n\n[[ ## completed ## ]]", []

    kernel.handler = handle
    kernel.load(picture(), "png")
    code = "look = dspy.Predict('picture: dspy.Image -> answer')\nfound = look(picture=dspy.Image(png))"
    assert value_of(kernel, code, "found.answer") == "'a dot'"
    assert seen == [[b"\x89PNG\r\n\x1a\n"]]
    code = TRIED.replace("rate(review='nice')", "look(picture=dspy.Image('https://example.org/a.png'))")
    ran = kernel.run(code)
    assert "An image by address is not fetched" in kernel.run("str(found)").result, ran
    assert len(kernel.ops) == 1


def picture():
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "png")
    return file.getvalue()


def test_options_that_the_run_decides_are_noted_in_dspys_history(kernel):
    value_of(kernel, "rate(review='nice', config={'temperature': 0.7})", "1")
    note = "[(one.field, one.asked) for one in dspy.settings.lm.history[-1]['adaptations']]"
    assert kernel.run(note).result == "[('config.temperature', 0.7)]"


def test_a_program_and_its_model_can_be_copied_and_asked_for_several_answers(kernel):
    code = (
        "import copy\nrate.lm = dspy.settings.lm\nfound = copy.deepcopy(rate)(review='nice', config={'n': 3})"
    )
    assert value_of(kernel, code, "found.completions.score") == "[3, 3, 3]"
    assert len(kernel.ops) == 3


def test_react_calls_the_tools_of_the_agents_code_by_text(kernel):
    field = "[[ ## {} ## ]]\n{}\n\n".format
    step = field("next_thought", "I look.") + field("next_tool_name", "{}") + field("next_tool_args", "{}")
    done = field("reasoning", "As found.") + field("answer", "42")
    kernel.handler = replying(step.format("stock", '{"item": "bolt"}'), step.format("finish", "{}"), done)
    code = "def stock(item: str) -> int:\n    return 42\nfound = dspy.ReAct('question -> answer: int', tools=[stock])(question='How many?')"
    assert value_of(kernel, code, "found.answer, found.trajectory['observation_0']") == "(42, 42)"
    assert [body["schema"] for _, body in kernel.ops] == [None] * 3


# -- in runs, in the sandbox


def test_requests_count_in_the_run_and_stand_in_its_tree(tmp_path):
    code = f"{PREDICT}found = dspy.ChainOfThought('review -> sentiment, score: int')(review='nice')\nFINAL(found.score)"
    reply = f"[[ ## reasoning ## ]]\nIt says so.\n\n{GOOD}"
    with asking(tmp_path) as start:
        run = start({"root": [code]}, model=by_question({"root": [code]}, plain=reply))
        assert run.raise_for_error().value == 3
        [call] = run.tree.agents["0"].calls
        assert (call.purpose, call.status) == ("llm_query", "done")
        assert sum(event.kind == "prompt_sent" for event in run.events) == 2


def test_a_limit_that_is_reached_ends_the_run_with_its_own_error(tmp_path):
    code = f"{PREDICT}for number in range(9): rate(review=str(number))"
    with asking(tmp_path) as start:
        model = by_question({"root": [code]}, plain=GOOD)
        run = start({"root": [code]}, model=model, limits=Limits(calls=4))
        assert isinstance(run.error, LimitReachedError)
        assert run.error.limit == "calls"
        assert len(run.tree.agents["0"].calls) == 3
