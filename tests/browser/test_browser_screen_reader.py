"""What a screen reader is told: Chromium's own accessibility tree, its roles, names, levels, states, live regions."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


class Tree:
    """The accessibility tree of a page, as Chromium hands it to the system."""

    def __init__(self, page):
        session = page.context.new_cdp_session(page)
        self.nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        self.by_id = {node["nodeId"]: node for node in self.nodes}
        session.detach()

    def all(self, role, name=""):
        """The nodes of a role whose name has a pattern, in the order of the page."""
        found = []
        for node in self.nodes:
            ignored, told = node.get("ignored"), node.get("name", {}).get("value", "")
            if not ignored and node.get("role", {}).get("value") == role and re.search(name, told):
                found.append(
                    {"name": told, "value": node.get("value", {}).get("value"), **self._states(node)}
                )
        return found

    def _states(self, node):
        states = {item["name"]: item["value"].get("value") for item in node.get("properties", ())}
        return {**states, "parents": self._parents(node)}

    def _parents(self, node):
        roles = []
        while (node := self.by_id.get(node.get("parentId"))) is not None:
            roles.append(node.get("role", {}).get("value"))
        return roles


def test_the_tree_pattern_is_told_with_names_levels_places_and_states(alone):
    page = alone("run")
    page.get_by_role("treeitem", name="0.1.2 ").click()
    tree = Tree(page)
    (root,) = tree.all("tree")
    assert root["name"] == "Which supplier explains the rise in refunds, and since when?"
    assert root["busy"]
    items = tree.all("treeitem")
    assert [item["level"] for item in items] == [1, 2, 3, 3, 2, 2, 2, 2, 2]
    assert all("tree" in item["parents"] for item in items)
    names = [item["name"] for item in items]
    assert names[2] == (
        "0.1.1 Is the rise of September a change of the price or of the count? done, 2 turns, $0.0026, 2.9 s"
    )
    for at, words in ((0, "waiting for sub-agents"), (4, "failed"), (5, "waiting for model"), (6, "running code"),
                      (7, "rate-limited, 0 turns, cost unknown"), (8, "stopped")):  # fmt: skip
        assert words in names[at]
    assert [item.get("expanded") for item in items[:3]] == [1, 1, None]
    assert [bool(item["selected"]) for item in items].count(True) == 1
    assert items[3]["selected"]
    places = page.locator("[role=treeitem]").evaluate_all(
        "rows => rows.map((row) => [row.ariaLevel, row.ariaPosInSet, row.ariaSetSize].map(Number))"
    )
    assert places[:5] == [[1, 1, 1], [2, 1, 6], [3, 1, 2], [3, 2, 2], [2, 2, 6]]
    assert sum(bool(item["focusable"]) for item in items) == len(items), "keys reach each row"
    assert page.locator("[role=treeitem][tabindex='0']").count() == 1, "and Tab reaches one"


def test_a_folded_batch_says_what_is_in_it(alone):
    page = alone("wide")
    (group,) = Tree(page).all("treeitem", "48 agents")
    assert group["name"].startswith("48 agents 41 done · 5 running · 2 failed")
    assert (bool(group["expanded"]), group["level"]) == (False, 3)


def test_everything_that_takes_a_key_or_a_click_has_a_role_and_a_name(alone):
    page = alone("run")
    page.get_by_role("treeitem", name="0.4 ").click()
    expect(page.get_by_role("option", name=re.compile("by_week"))).to_be_visible()
    tree = Tree(page)
    for role in (
        "button",
        "textbox",
        "tab",
        "option",
        "listbox",
        "region",
        "meter",
        "heading",
        "tabpanel",
        "table",
    ):
        found = tree.all(role)
        assert found, role
        if role != "table":
            assert [item for item in found if not item["name"].strip()] == [], f"a {role} without a name"
    buttons = {item["name"] for item in tree.all("button")}
    assert {"Stop", "Pause", "Pull", "Copy as code", "Run", "Prompt", "Close", "Variables 4"} <= buttons
    assert {item["name"] for item in tree.all("textbox")} >= {"Pull as", "Code for the kernel of 0.4"}
    (cost,) = tree.all("meter", "^Cost$")
    assert (round(cost["value"], 4), cost["valuemax"]) == (0.0421, 1)
    words = page.get_by_role("meter", name="Cost").get_attribute("aria-valuetext")
    assert words == "$0.0421 of $1.00"
    assert [bool(item["selected"]) for item in tree.all("tab")] == [True, False]
    assert tree.all("columnheader", "supplier"), "a frame is a table"


def test_a_change_of_state_is_said_once_by_a_live_region(alone):
    page = alone("run")
    live = page.locator("[aria-live=polite]")
    expect(live).to_have_count(1)
    expect(live).to_have_text("")
    page.evaluate("window.model.patch({ run: { status: 'done', in_flight: 0 } })")
    expect(live).to_have_text("Run done")
    assert live.evaluate("e => e.getBoundingClientRect().width <= 1"), "for ears, not for eyes"
    page.get_by_role("treeitem", name="0.2 ").click()
    page.get_by_role("textbox", name="Pull as").fill("orders")
    page.get_by_role("button", name="Pull", exact=True).click()
    expect(live).to_have_text(re.compile("`orders` exists in the notebook"))
    assert any(node.get("live") == "polite" for node in Tree(page).all("generic")), "told to the system too"
    (tree,) = Tree(page).all("tree")
    assert not tree.get("busy")


def test_a_change_of_an_agents_state_changes_the_name_of_its_row(alone):
    page = alone("run")
    page.evaluate(
        "window.model.patch({ agents: { '0.3': { status: 'failed', activity: '', error: 'no', elapsed: 3 } } })"
    )
    expect(page.get_by_role("treeitem", name=re.compile(r"^0\.3 .* failed"))).to_be_visible()
    (row,) = Tree(page).all("treeitem", r"^0\.3 ")
    assert "failed" in row["name"]
    expect(page.locator("[aria-live=polite]")).to_have_text("0.3 failed")
    (root,) = Tree(page).all("treeitem", "^0 ")
    assert "2 failed below" in root["name"]
