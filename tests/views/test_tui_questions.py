"""The box of `ask_user` in the terminal's viewer, driven by keys: of real runs, whose code gets the answer."""

import pytest
from run_parts import asking
from tui_screen import Screen

from rlm_jupyter import answering
from rlm_jupyter.user_questions.pending import wait_for_question
from rlm_jupyter.views.tui.question_box import ViewerAudience
from rlm_jupyter.views.tui.shown_run import ShownRun
from rlm_jupyter.views.tui.viewer import Viewer

CENTS = "FINAL(ask_user('Is [b]revenue[/b] in \\x1b[31mcents?', options=['cents', 'euros'], default='cents'))"
TYPED = "FINAL(ask_user('Which rate?', default='1.1'))"


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


class Asked:
    """A run whose user sits at the viewer."""

    def __init__(self, ask, code, **settings):
        self.audience = ViewerAudience()
        with answering(self.audience):
            self.run = ask({"root": [code]}, wait=False, settings=settings)
        wait_for_question(60, run=self.run.id)

    def viewer(self):
        return Viewer(ShownRun([], None, live=self.run))

    def answer(self):
        (answered,) = self.run.wait(60).tree.user_answers
        return self.run.value, answered.by, answered.reason


async def test_an_option_is_chosen_by_its_number_and_sent_by_enter(ask):
    asked = Asked(ask, CENTS)
    async with (app := asked.viewer()).run_test(size=(80, 24)) as pilot:
        screen = Screen(app, pilot)
        text = await screen.until(lambda: "asks you" in screen.text)
        assert "Is [b]revenue[/b] in" in text
        assert "\x1b" not in text
        assert "> 1  cents" in text
        assert "> 2  euros" in await screen.press("2")
        assert not asked.run.tree.user_answers, "the number alone answers nothing"
        await screen.press("enter")
        await screen.until(lambda: "asks you" not in screen.text)
        assert asked.answer() == ("euros", "user", "")


async def test_a_question_that_is_put_off_waits_and_an_answer_may_be_typed(ask):
    asked = Asked(ask, TYPED)
    async with (app := asked.viewer()).run_test(size=(80, 24)) as pilot:
        screen = Screen(app, pilot)
        assert "an empty line is: 1.1" in await screen.until(lambda: "asks you" in screen.text)
        await screen.press("escape")
        assert "a answer the question" in await screen.until(lambda: "asks you" not in screen.text)
        await screen.press("a")
        await screen.until(lambda: "asks you" in screen.text)
        await screen.press("2", "full_stop", "5", "enter")
        assert asked.answer() == ("2.5", "user", "")


async def test_the_box_closes_when_the_time_is_up_and_an_empty_line_is_the_default(ask):
    asked = Asked(ask, f"a = {TYPED[6:-1]}\nFINAL(a + ask_user('More?', default=''))", ask_user_seconds=3.0)
    async with (app := asked.viewer()).run_test(size=(80, 24)) as pilot:
        screen = Screen(app, pilot)
        await screen.until(lambda: "Which rate?" in screen.text)
        await screen.press("enter")
        await screen.until(lambda: "More?" in screen.text)
        await screen.until(lambda: "asks you" not in screen.text)
    run = asked.run.wait(60)
    assert run.value == "1.1"
    assert [one.by for one in run.tree.user_answers] == ["default", "default"]
    assert run.tree.user_answers[1].reason.startswith("no answer within")


def test_after_the_viewer_is_closed_defaults_are_taken(ask):
    asked = Asked(ask, CENTS)
    asked.audience.close()
    assert asked.answer() == ("cents", "default", "the viewer was closed")
