"""Every view tells where the bytes of a run's values are, and which kernels ended to free memory."""

import pytest
from run_story import FRAME, Story

from rlm_jupyter.events import events as ev
from rlm_jupyter.text import units as fmt
from rlm_jupyter.views import text_tree
from rlm_jupyter.views.agent_page import detail
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.widget_messages import Patcher, run_fields


def told(place="disk", **held):
    """A run whose root has a value and two variables, one of which is the data itself."""
    story = Story(context={**FRAME, "place": "forged"})
    story.agent("0", context=FRAME, place="shared")
    story.turn()
    story.variables(same={**FRAME, "place": "shared"}, own={**FRAME, "place": "disk"}, third=FRAME)
    story.tell(ev.ValueReturned, "0", description={**FRAME, "place": "forged"}, bytes=300, place=place)
    sums = {"memory": 1_200_000_000, "disk": 300_000_000, "shared": 0, "limit": 6_000_000_000, **held}
    story.tell(ev.ValuesHeld, **sums)
    forged = {**FRAME, "place": "memory"}
    story.tell(ev.AgentFinished, "0", status="done", value=forged)
    story.tell(ev.RunFinished, status="done", value=forged)
    return story


def test_the_head_line_tells_the_sums():
    drawn = text_tree.tree(told().state)
    assert " · values 1.2 GB in memory, 300.0 MB on disk\n" in drawn
    assert "alues 1.2 GB in memory, 300.0 MB on disk" in static_html(told().state)
    assert "values" not in text_tree.summary_line(told(memory=0, disk=0).state)
    assert "values" not in text_tree.summary_line(Story().state)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({}, ""),
        ({"memory": 0, "disk": 0, "shared": 0, "limit": 10}, ""),
        ({"shared": 10**9}, "values 1.0 GB shared with the notebook"),
        (
            {"memory": 1, "disk": 2, "shared": 3},
            "values 1 B in memory, 2 B on disk, 3 B shared with the notebook",
        ),
    ],
)
def test_sums_in_words(held, expected):
    assert fmt.places(held) == expected


def test_the_widget_is_told_what_is_not_nothing_and_of_each_change():
    assert run_fields(Story().state)["values"] is None
    story = told()
    assert run_fields(story.state)["values"] == {
        "memory": 1_200_000_000,
        "disk": 300_000_000,
        "limit": 6_000_000_000,
    }
    patcher = Patcher(story.state)
    patcher.snapshot()
    story.tell(ev.ValuesHeld, memory=5, disk=0, shared=7, limit=10)
    assert patcher.patch()["run"]["values"] == {"memory": 5, "shared": 7, "limit": 10}
    story.tell(ev.ValuesHeld, memory=0, disk=0, shared=0, limit=10)
    assert patcher.patch()["run"]["values"] is None


def test_each_value_has_its_place_and_a_kernels_own_word_for_it_is_not_believed():
    page = detail(told().state, "0")
    assert (page["context"]["place"], page["value"]["place"]) == ("shared", "disk")
    places = {item["name"]: item["place"] for item in page["variables"]}
    assert places == {"same": "shared", "own": None, "third": None}
    shown = text_tree.show_agent(told().state, "0")
    assert "Context: DataFrame 3 x 2, 216 B · shared with the notebook" in shown
    assert (
        "   same: DataFrame 3 x 2, 216 B · shared with the notebook\n   own: DataFrame 3 x 2, 216 B\n"
        in shown
    )
    for state in (told().state, told("memory").state):
        on_disk = state.agents["0"].value["place"] == "disk"
        for drawn in (
            shown if on_disk else text_tree.show_agent(state, "0"),
            text_tree.tree(state),
            static_html(state),
        ):
            assert ("DataFrame 3 x 2, 216 B · on disk" in drawn) == on_disk
            assert "forged" not in drawn


def test_a_kernel_that_ended_to_free_memory_says_so_and_what_is_left():
    story = told()
    lost = tuple(f"v{number}" for number in range(12))
    story.tell(
        ev.KernelEnded, "0", bytes=120_000_000, held=10**9, limit=5 * 10**8, saved=("third",), lost=lost
    )
    for drawn in (
        text_tree.tree(story.state),
        text_tree.show_agent(story.state, "0"),
        static_html(story.state),
    ):
        assert "Kernel ended to free memory: it held 120 MB, and" in drawn
    page = detail(story.state, "0")
    (note,) = page["notices"]
    assert note.endswith(
        "allows 500 MB for the kernels of agents that have ended. Gone with it: "
        + ", ".join(f"`{name}`" for name in lost[:10])
        + " and 2 more."
    )
    assert {item["name"]: item["place"] for item in page["variables"]}["third"] == "memory"
