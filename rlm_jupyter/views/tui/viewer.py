"""The viewer of a run in a terminal: the tree and a page beside it, the timeline, the answer, and a replay.

It draws what is in a `ShownRun`, and changes nothing but the moment that is shown; of a run that goes on it can stop
an agent or the whole, and answer what the run asks its user. All text is drawn as it is: no markup of textual or rich
is parsed in it.
"""

from __future__ import annotations

import time
from typing import ClassVar, Literal

from rich.console import Group, RenderableType
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input, Static

from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.text.sanitize import clean, one_line
from rlm_jupyter.user_questions.pending import UserQuestion, pending_questions
from rlm_jupyter.views import text_tree
from rlm_jupyter.views.answer_card import answer_card
from rlm_jupyter.views.rich_card import rich_card
from rlm_jupyter.views.run_statistics import statistics
from rlm_jupyter.views.tui import log_playback, page_lines
from rlm_jupyter.views.tui.agent_rows import Row, agent_rows, path_to
from rlm_jupyter.views.tui.dialogs import Confirmation, Help
from rlm_jupyter.views.tui.line_pane import LinePane
from rlm_jupyter.views.tui.question_box import QuestionBox
from rlm_jupyter.views.tui.rows_pane import RowsPane
from rlm_jupyter.views.tui.search_state import Search
from rlm_jupyter.views.tui.shown_run import ShownRun
from rlm_jupyter.views.tui.styles import MARKS
from rlm_jupyter.views.tui.timeline_pane import TimelinePane
from rlm_jupyter.views.tui.tree_pane import TreePane
from rlm_jupyter.views.tui.wrapping import Line, fitted

_TICK = 0.1
_CLOCKS = 1.0
"""Seconds after which the times of a live run that is silent are drawn anew."""
_NARROW = 64
"""Cells: below, the tree and the page do not stand side by side."""
_QUESTION = 2000

View = Literal["agents", "timeline", "answer"]
Page = Literal["turns", "variables", "messages"]


class Viewer(App[None]):
    """Shows a run.

    Args:
        shown: the run.
        selected: the id of the agent whose page is shown first; empty: the root.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 1; text-style: bold; }
    #tabs, #caption, #bar, #keys { height: 1; }
    #tabs, #keys, .small { text-style: dim; }
    #agents { height: 1fr; }
    #tree { width: 2fr; }
    #page { width: 3fr; border-left: solid ansi_blue; padding-left: 1; }
    #page:focus { border-left: heavy ansi_cyan; }
    #timeline, #answer { height: 1fr; }
    #search { height: 1; border: none; padding: 0; }
    RowsPane, LinePane { overflow-x: hidden; scrollbar-size-vertical: 1; }
    #answer { scrollbar-size-vertical: 1; }
    ModalScreen { align: center middle; }
    .box { width: 60; max-width: 100%; height: auto; max-height: 100%; border: solid ansi_cyan; padding: 0 1;
           background: ansi_default; }
    .box.wide { width: 84; }
    .box Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "view('agents')", show=False),
        Binding("2", "view('timeline')", show=False),
        Binding("3", "view('answer')", show=False),
        Binding("t", "page('turns')", show=False),
        Binding("v", "page('variables')", show=False),
        Binding("m", "page('messages')", show=False),
        Binding("escape", "leave", show=False),
        Binding("tab", "other_pane", show=False, priority=True),
        Binding("shift+tab", "other_pane", show=False, priority=True),
        Binding("space", "play", show=False),
        Binding("full_stop", "step(1)", show=False),
        Binding("comma", "step(-1)", show=False),
        Binding("right_square_bracket", "step_to('TURNS', 1)", show=False),
        Binding("left_square_bracket", "step_to('TURNS', -1)", show=False),
        Binding("right_curly_bracket", "step_to('AGENTS', 1)", show=False),
        Binding("left_curly_bracket", "step_to('AGENTS', -1)", show=False),
        Binding("greater_than_sign", "seek_end", show=False),
        Binding("less_than_sign", "seek_begin", show=False),
        Binding("plus", "speed(1)", show=False),
        Binding("minus", "speed(-1)", show=False),
        Binding("f", "follow", show=False),
        Binding("slash", "search", show=False),
        Binding("n", "hit(1)", show=False),
        Binding("N", "hit(-1)", show=False),
        Binding("question_mark", "help", show=False),
        Binding("s", "stop_agent", show=False),
        Binding("S", "stop_run", show=False),
        Binding("a", "ask", show=False),
        Binding("q,ctrl+q", "close", show=False),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
    ]

    def __init__(self, shown: ShownRun, selected: str = "") -> None:
        super().__init__()
        self.theme = "ansi-dark"
        self.shown = shown
        self.selected = selected
        self.follow = shown.live is None
        self.view: View = "agents"
        self.page: Page = "turns"
        self._reading = False
        self._folded: set[str] = set()
        self._rows: tuple[object, list[Row]] = (None, [])
        self._page_key: object = None
        self._answer_key: object = None
        self._wanted: int | None = None
        self._found = Search()
        self._ticked = self._drawn = time.monotonic()
        self._version: object = None
        self._ended = not shown.goes_on
        self._put_off: set[int] = set()

    def compose(self) -> ComposeResult:
        """Make the panes."""
        yield Static(id="head", markup=False)
        yield Static(id="tabs", markup=False)
        with Horizontal(id="agents"):
            yield TreePane(id="tree")
            yield LinePane(id="page")
        yield TimelinePane(id="timeline")
        with VerticalScroll(id="answer"):
            yield Static(id="card", markup=False)
        yield Static(id="caption", markup=False)
        yield Static(id="bar", markup=False)
        yield Static(id="keys", markup=False)
        yield Input(id="search", placeholder="Search for", compact=True)

    def on_mount(self) -> None:
        """Show the run, and look at the time."""
        self.query_one("#search").display = False
        for pane in self.query(RowsPane):
            pane.tree_lock = self.shown.lock
        self._focus_view()
        self.show()
        self.set_interval(_TICK, self._tick)

    def on_resize(self) -> None:
        """Lay the panes out anew."""
        self._page_key = self._answer_key = None
        self.call_after_refresh(self.show)

    # ---- drawing

    def show(self) -> None:
        """Draw all that is to be seen."""
        with self.shown.lock:
            state = self.shown.state
            self._keep_selection(state)
            width = self.size.width
            mark = MARKS.get(state.status, "?")
            self._put("head", f"{mark} {text_tree.summary_line(state, self.shown.at)}")
            self._put("tabs", self._tabs())
            self._arrange(width)
            rows = self._agent_rows(state)
            if self.view == "agents":
                self.query_one(TreePane).show(state, rows, self.selected)
                self._show_page(state)
            elif self.view == "timeline":
                pane = self.query_one(TimelinePane)
                pane.whole, pane.live = self.shown.whole, self.shown.at is not None
                pane.show(state, rows, self.selected)
            else:
                self._show_answer(state)
        found = self._found.caption()
        self._put("caption", f"{found} · {self.shown.caption()}" if found else self.shown.caption())
        self._put("bar", self.shown.bar(width))
        self._put("keys", self._keys())
        self._version, self._drawn = self.shown.version, time.monotonic()

    def _put(self, name: str, text: str) -> None:
        self.query_one(f"#{name}", Static).update(Text(fitted(text, self.size.width)))

    def _tabs(self) -> str:
        views = {"agents": "1 Agents", "timeline": "2 Timeline", "answer": "3 Answer"}
        pages = {"turns": "t Turns", "variables": "v Variables", "messages": "m Messages"}
        told = [f"[{word}]" if name == self.view else f" {word} " for name, word in views.items()]
        if self.view == "agents":
            told += [
                "│",
                *(f"[{word}]" if name == self.page else f" {word} " for name, word in pages.items()),
            ]
        return " ".join(told)

    def _keys(self) -> str:
        stop = "s stop agent  S stop run  " if self.shown.goes_on else ""
        follow = "f follow: on" if self.follow else "f follow: off"
        stop = "a answer the question  " + stop if self._asked() is not None else stop
        return f"? help  / search  {stop}Space play  , . event  [ ] turn  {follow}  q close"

    def _arrange(self, width: int) -> None:
        narrow = width < _NARROW
        for name in ("agents", "timeline", "answer"):
            self.query_one(f"#{name}").display = name == self.view
        self.query_one(TreePane).display = not (narrow and self._reading)
        self.query_one(LinePane).display = not narrow or self._reading

    def _agent_rows(self, state: TreeState) -> list[Row]:
        key = (id(state), len(state.agents), frozenset(self._folded))
        if self._rows[0] != key:
            self._rows = (key, agent_rows(state, self._folded))
        return self._rows[1]

    def _keep_selection(self, state: TreeState) -> None:
        """Stay at an agent that is there: at an earlier moment another one may have to do."""
        if self.selected not in state.agents:
            self.selected = next(iter(state.agents), "")

    def _show_page(self, state: TreeState) -> None:
        key = (
            self.shown.version if self.shown.now else (id(state), self.shown.position),
            self.selected,
            self.page,
            self._wanted,
            self._found.query,
        )
        if key == self._page_key:
            return
        pane = self.query_one(LinePane)
        stays = self._page_key is not None and key[1:3] == self._page_key[1:3]  # type: ignore[index]
        at_end = pane.at_end
        self._page_key = key
        agent = state.agents.get(self.selected)
        lines: list[Line]
        if agent is None:
            lines = [Line("No agent yet.", "small")]
        elif self.page == "variables":
            lines = page_lines.variable_lines(agent)
        elif self.page == "messages":
            lines = page_lines.message_lines(state, agent)
        else:
            lines = page_lines.turn_lines(state, agent, self.shown.at, self._wanted)
        pane.show(lines, query=self._found.query)
        if self.follow and not self.shown.now and self.shown.position < len(self.shown.events):
            pane.scroll_end(animate=False)
        elif not stays:
            pane.scroll_home(animate=False)
        elif at_end and self.shown.now:
            pane.scroll_end(animate=False)

    def _show_answer(self, state: TreeState) -> None:
        key = self.shown.version
        if key == self._answer_key:
            return
        self._answer_key = key
        question = clean(state.question, _QUESTION)
        parts: list[RenderableType] = [Text(f"Question: {question}\n")]
        card = answer_card(state, picture_chars=0)
        parts.append(Text("No answer yet.") if card is None else rich_card(card))
        figures = f"\n{statistics(state)}\n\n{text_tree.cost_table(state)}"
        parts.append(Text(figures, style="dim", no_wrap=True, overflow="ellipsis"))
        self.query_one("#card", Static).update(Group(*parts))

    # ---- time

    def _tick(self) -> None:
        now = time.monotonic()
        seconds, self._ticked = now - self._ticked, now
        if self.shown.tick(seconds):
            self._moved()
        elif self._is_late(now):
            self.show()
        if not self._ended and not self.shown.goes_on:
            self._ended = True
            self.show()
        asked = self._asked()
        if asked is not None and asked.number not in self._put_off and not self.query_one("#search").display:
            self.action_ask()

    def _is_late(self, now: float) -> bool:
        """Returns whether a live run is not the one that is drawn: something happened, or only time has passed."""
        if self.shown.now and self.shown.version != self._version:
            return True
        return self.shown.at is not None and now - self._drawn >= _CLOCKS

    def _moved(self) -> None:
        """Show another moment."""
        event = self.shown.event
        if self.follow and event is not None and event.agent in self.shown.state.agents:
            self.selected, self._wanted = event.agent, None
            self._unfold_to(event.agent)
        self.show()

    # ---- what the user does

    def _focus_view(self) -> None:
        names = {
            "agents": "#page" if self._reading else "#tree",
            "timeline": "#timeline",
            "answer": "#answer",
        }
        self.query_one(names[self.view]).focus()

    def action_view(self, view: View) -> None:
        """Show the agents, the timeline or the answer."""
        self.view = view
        self.show()
        self._focus_view()

    def action_page(self, page: Page) -> None:
        """Show another page of the agent."""
        self.page, self.view = page, "agents"
        self.show()
        self._focus_view()

    def action_leave(self) -> None:
        """Leave the search, the page or the view."""
        search = self.query_one("#search")
        if search.display:
            search.display = False
        elif self._found.query:
            self._found = Search()
        elif self.view != "agents":
            self.view = "agents"
        else:
            self._reading = False
        self.show()
        self._focus_view()

    def action_other_pane(self) -> None:
        """Go from the tree to the page, or back."""
        if len(self.screen_stack) > 1 or self.query_one("#search").display:
            return
        self._reading = not self._reading
        self.action_view("agents")

    def on_rows_pane_selected(self, message: RowsPane.Selected) -> None:
        """Show the agent at the cursor; who chooses one by hand does not follow."""
        self.selected, self._wanted = message.agent, None
        if self.shown.clock.playing:
            self.follow = False
        self.show()

    def on_rows_pane_opened(self, _message: RowsPane.Opened) -> None:
        """Go to the page."""
        self._reading = True
        self.action_view("agents")

    def on_rows_pane_folded(self, message: RowsPane.Folded) -> None:
        """Fold or unfold."""
        with self.shown.lock:
            agents = self.shown.state.agents
            chosen = (
                {message.agent}
                if message.agent is not None
                else {id_ for id_, a in agents.items() if a.children}
            )
            ids = {id_ for id_ in chosen if id_ is not None}
            self._folded = self._folded | ids if message.fold else self._folded - ids
            above = [id_ for id_ in path_to(self.shown.state, self.selected) if id_ in self._folded]
        if above:
            self.selected = above[-1]
        self.show()

    def _unfold_to(self, agent: str) -> None:
        if self._folded:
            self._folded = self._folded - set(path_to(self.shown.state, agent))

    def action_play(self) -> None:
        """Play or pause."""
        self.shown.play()
        self._moved()

    def action_step(self, by: int) -> None:
        """Go to the next event or the one before."""
        self.shown.clock.playing = False
        self.shown.step(by)
        self._moved()

    def action_step_to(self, kinds: Literal["TURNS", "AGENTS"], by: int) -> None:
        """Go to where a turn begins, or an agent starts or ends."""
        self.shown.clock.playing = False
        self.shown.step_to(getattr(log_playback, kinds), by)
        self._moved()

    def action_seek_end(self) -> None:
        """Go to the end; of a live run to now."""
        self.shown.to_end()
        self.show()

    def action_seek_begin(self) -> None:
        """Go to before the first event."""
        self.shown.clock.playing = False
        self.shown.seek(0)
        self._moved()

    def action_speed(self, by: int) -> None:
        """Play faster or slower."""
        self.shown.clock.change_speed(by)
        self.show()

    def action_follow(self) -> None:
        """Follow what happens in a replay, or stay at an agent."""
        self.follow = not self.follow
        self._moved()

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help())

    # ---- search

    def action_search(self) -> None:
        """Ask for a text."""
        search = self.query_one("#search", Input)
        search.display = True
        search.value = self._found.query
        search.focus()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Search for it."""
        self.query_one("#search").display = False
        self._found = Search(message.value.strip())
        self.action_view("agents")
        if self._found.query:
            self.run_worker(self._search(self._found), exclusive=True, group="search", exit_on_error=False)

    async def _search(self, found: Search) -> None:
        ids = [row.id for row in agent_rows(self.shown.state, ())]
        await found.look(self.shown, ids, self.selected)
        if found is self._found:
            self._go_to_hit()

    def action_hit(self, by: int) -> None:
        """Go to the next place that was found, or to the one before."""
        self._found.move(by)
        self._go_to_hit()

    def _go_to_hit(self) -> None:
        hit = self._found.hit
        if hit is None:
            self.show()
            return
        self.selected, self._wanted, self.page, self.view = hit.agent, hit.turn or None, "turns", "agents"
        self._unfold_to(hit.agent)
        self.show()
        pane = self.query_one(LinePane)
        self.call_after_refresh(lambda: pane.scroll_to_turn(hit.turn))

    # ---- a live run, and the end

    def _asked(self) -> UserQuestion | None:
        """Returns the question of a live run that waits for the user; None if there is none, or a box is open."""
        if not self.shown.goes_on or self.shown.live is None or len(self.screen_stack) > 1:
            return None
        return next(iter(pending_questions(self.shown.live.id)), None)

    def action_ask(self) -> None:
        """Open the box of the question that waits."""
        asked = self._asked()
        if asked is None:
            return
        self._put_off.add(asked.number)  # who leaves it opens it again by the key
        self.push_screen(QuestionBox(asked), lambda _later: self.show())

    def action_stop_agent(self) -> None:
        """Ask, and stop the selected agent with all below it."""
        if self.shown.goes_on and self.selected in self.shown.state.agents:
            agent = self.selected
            text = f"Stop agent {one_line(agent, 40)} and all below it? What it has stays."
            self.push_screen(Confirmation(text, again="s"), lambda yes: self._stop(agent) if yes else None)

    def action_stop_run(self) -> None:
        """Ask, and stop the run."""
        if self.shown.goes_on:
            text = "Stop the run? What its agents have stays."
            self.push_screen(Confirmation(text, again="S"), lambda yes: self._stop(None) if yes else None)

    def _stop(self, agent: str | None) -> None:
        if self.shown.live is not None:
            self.shown.live.stop(agent)

    def action_interrupt(self) -> None:
        """Ctrl+C: ask whether to stop a run that goes on; a second one says yes. Else close."""
        if isinstance(self.screen, Confirmation):
            self.screen.action_answer(True)
        elif self.shown.goes_on:
            self.action_stop_run()
        else:
            self.exit()

    def action_close(self) -> None:
        """Close the viewer; ask first if the run goes on."""
        if not self.shown.goes_on:
            self.exit()
            return
        text = "Close the viewer? The run goes on, and its value is printed when it ends."
        self.push_screen(Confirmation(text, again="q"), lambda yes: self.exit() if yes else None)

    def _fatal_error(self) -> None:
        """Close without textual's traceback: that one shows the values of variables, and so data and prompts."""
        self._close_messages_no_wait()
