"""`RLM`: the face of the package.

What answers a question is imported when one is asked (`wiring`): until then, kernels are being prepared.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError, RLMError, RunStoppedError
from rlm_jupyter.import_pause import no_collections
from rlm_jupyter.kernels.launch.early_start import early_start
from rlm_jupyter.models.base import ChatModel, Price
from rlm_jupyter.run_setup.known_prices import keepable_limits
from rlm_jupyter.run_setup.resolve_model import choose_model
from rlm_jupyter.sandbox_settings import Sandbox
from rlm_jupyter.settings import Limits, Settings
from rlm_jupyter.table_verbs import BlockingVerbs

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.conversation.conversation import Asker, Chat
    from rlm_jupyter.engine.mapping.map_run import MapRun
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.engine.samples.samples import Samples
    from rlm_jupyter.estimates.run_estimate import Estimate
    from rlm_jupyter.events.events import AnyEvent
    from rlm_jupyter.registry import find_run, last_run, runs, stop_all
    from rlm_jupyter.wiring import Wiring


class RLM(BlockingVerbs):
    """A recursive language model: asks questions about data of any size (arXiv 2512.24601).

    Usage:
        >>> from rlm_jupyter import RLM, Limits
        >>> rlm = RLM(model="demo", limits=Limits(cost=1.0, depth=2))
        >>> run = rlm.run("Which supplier explains the rise in refunds?", context=orders)
        >>> run.value

    Args:
        model: of the root: a name such as ``"openai/gpt-5"``, ``"demo"``, or an object with the `ChatModel`
            protocol. None: `RLM_MODEL`, else the scripted demo.
        sub_model: of sub-agents and plain completions; None: the same.
        base_url: of an OpenAI-compatible server; None: from the environment, else the provider's own.
        api_key: None: from the environment.
        limits: what one run may spend.
        price: USD per million tokens (prompt, completion), where the model's price is not known or wrong.
        sandbox: what agents' kernels may touch: `auto`, `none`, `bwrap`, `Sandbox(...)` or a dict of its fields.
        kernel: the kernelspec of agents' kernels, `gateway:URL/KERNELSPEC` or `docker:IMAGE`; None: this Python.
        log_dir: where logs are written, one file a run; None writes none.
        cache: whether replies are kept on disk and used again.
        on_event: called with each event of each run, on the engine's thread; it must not block.
        settings: further fields of `Settings`.

    Raises:
        ConfigError: a setting that cannot work; among them `MissingKeyError` and `UnknownPriceError`.
    """

    def __init__(  # noqa: PLR0913 - settings, all but the models by name
        self,
        model: str | ChatModel | None = None,
        sub_model: str | ChatModel | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        limits: Limits | Mapping[str, object] | None = None,
        price: Price | tuple[float, float] | None = None,
        sandbox: str | Sandbox | Mapping[str, object] | None = None,
        kernel: str | None = None,
        log_dir: str | Path | None = "rlm_runs",
        cache: bool = True,
        on_event: Callable[[AnyEvent], None] | None = None,
        **settings: Any,
    ) -> None:
        named = {"model": model, "sub_model": sub_model}
        changes: dict[str, Any] = {name: value for name, value in named.items() if isinstance(value, str)}
        self.settings = Settings.from_environment(
            base_url=base_url,
            sandbox=sandbox,
            kernel=kernel,
            cache=cache,
            limits=Limits.of(limits),
            **changes,
            **settings,
        ).model_copy(update={"log_dir": Path(log_dir) if log_dir is not None else None})
        if self.settings.early_start and self.settings.kernel is None:
            early_start.begin()  # its imports go on beside those of this process
        self._price = Price.read(price) if price is not None else None
        given = model if model is not None else self.settings.model
        given_sub = sub_model if sub_model is not None else self.settings.sub_model
        if api_key is not None and not isinstance(api_key, str):
            raise ConfigError(f"`api_key` takes a text, not a `{type(api_key).__name__}`.")
        self._secrets: list[str] = [api_key] if api_key else []
        with no_collections():  # the modules of a model are imported with the first of its kind
            self.model = choose_model(given, base_url=self.settings.base_url, api_key=api_key)
            self.sub_model = (
                self.model
                if given_sub is None
                else choose_model(given_sub, base_url=self.settings.base_url, api_key=api_key)
            )
        self._made = [
            one for one in (self.model, self.sub_model) if one is not model and one is not sub_model
        ]
        self._on_event = on_event
        self._check_parameters()
        self.limits = self._check_limits(self.settings.limits)
        self._wired: Wiring | None = None
        self._wiring_lock = threading.Lock()  # one counts the open runs, also those of several threads

    def _check_parameters(self) -> None:
        """Refuse parameters of requests that are not the user's to set, before anything is asked."""
        own = self.settings
        if any((own.parameters, own.sub_parameters, own.extra_body, own.sub_extra_body)):
            from rlm_jupyter.engine.completions.sampling import Samplings

            Samplings.of(own)

    def _check_limits(self, limits: Limits) -> Limits:
        """Refuse a money limit that cannot be kept; drop the default one, which nobody asked for."""
        return keepable_limits(limits, (self.model, self.sub_model), self._price)

    # ---- asking

    def run(self, question: str, context: Any = None, **options: Any) -> Run:
        """Ask, and block until there is an answer. See `start` for the options.

        Raises:
            RLMError: there is no whole answer; the error's `.run` has what there is.
        """
        from rlm_jupyter.user_questions.audience import answering_in_terminal

        with answering_in_terminal():
            run = self.start(question, context, **options)
        return run.wait_interruptibly().raise_for_error()

    async def arun(self, question: str, context: Any = None, **options: Any) -> Run:
        """Ask, and await the answer. See `start` for the options.

        The data is encoded on a thread while this loop goes on: do not change it before the first event.

        Raises:
            RLMError: there is no whole answer; the error's `.run` has what there is.
        """
        from rlm_jupyter.engine.run.batch import started

        run = await started(partial(self.start, question, context, **options))
        try:
            await run
        except BaseException:
            run.stop()
            raise
        return run.raise_for_error()

    async def stream(self, question: str, context: Any = None, **options: Any) -> AsyncIterator[AnyEvent]:
        """Ask, and give the run's events as they come; leaving the loop early stops the run.

        The data is encoded on a thread, as in `arun`.

        Usage:
            >>> async for event in rlm.stream("Which supplier?", orders):
            ...     print(event.kind)
            >>> run = rlm_jupyter.rlm.last_run()
        """
        from rlm_jupyter.engine.run.batch import started

        run = await started(partial(self.start, question, context, **options))
        try:
            async for event in run.stream():
                yield event
        finally:
            run.stop()

    def run_batch(
        self,
        questions: Sequence[str],
        contexts: Sequence[Any] | None = None,
        *,
        concurrency: int = 4,
        **options: Any,
    ) -> list[Run]:
        """Ask many questions, so many at once, and block until all have ended. See `start` for the options.

        Each is a run with limits of its own: the batch may spend as many times the limits as it has questions. Equal
        questions about equal data are samples: each has replies of its own, also from the cache.

        Args:
            questions: one for each run.
            contexts: data, one for each question; None: none, or `context=` for all of them.
            concurrency: how many runs go on at once.
            options: as of `start`, for all of them.

        Returns:
            The runs, in order, whether they succeeded or not: see `error` and `value` of each. The newest ones
            keep their kernels; of all, the values stay.

        Raises:
            ConfigError: not as many contexts as questions, or `concurrency` is below 1.
        """
        from rlm_jupyter.engine.run.batch import run_all

        return run_all(self._starts(questions, contexts, options), concurrency)

    async def arun_batch(
        self,
        questions: Sequence[str],
        contexts: Sequence[Any] | None = None,
        *,
        concurrency: int = 4,
        **options: Any,
    ) -> list[Run]:
        """Ask many questions and await them all; see `run_batch`."""
        from rlm_jupyter.engine.run.batch import run_all_awaited

        return await run_all_awaited(self._starts(questions, contexts, options), concurrency)

    def _starts(
        self, questions: Sequence[str], contexts: Sequence[Any] | None, options: Mapping[str, Any]
    ) -> list[Callable[[], Run]]:
        from rlm_jupyter.engine.run.batch import starts

        def failed(question: str, error: RLMError) -> Run:
            return self._wiring().failed(question, error, self.limits)

        return starts(self.start, failed, questions, contexts, options)

    async def _close_models(self) -> None:
        """Close connections that were made here."""
        for model in self._made:
            close = getattr(model, "aclose", None)
            if close is not None:
                await close()

    def start(  # noqa: PLR0913 - options of a question, all but the data by name
        self,
        question: str,
        context: Any = None,
        *,
        names: Sequence[str] = (),
        schema: object = None,
        tools: Iterable[Callable[..., Any]] = (),
        inherit_tools: bool | None = None,
        env: Mapping[str, str] | None = None,
        mcp: Mapping[str, Mapping[str, Any]] | None = None,
        step: bool = False,
        limits: Limits | Mapping[str, object] | None = None,
        on_event: Callable[[AnyEvent], None] | None = None,
        continues: Run | None = None,
        samples: Samples | int | None = None,
        verify: bool = False,
        checks: Iterable[Callable[[Any], Any]] = (),
        plain: bool | str = False,
        hide: object = None,
    ) -> Run:
        """Ask, and return at once.

        Args:
            question: verbatim.
            context: the data: any object; None: the question itself is the context, as in the paper.
            names: the variables' names that the data has: one for the object itself, several for a dict of them.
            schema: what the answer must be: a type, a pydantic model, a JSON Schema, or columns and dtypes.
            tools: functions that the root's code may call. They run in the agent's kernel; those marked by
                `rlm_jupyter.host_tool` in this process. A sub-agent has those that its parent's code hands it.
            inherit_tools: whether sub-agents have all tools of their parents; None: as the settings say.
            env: environment variables of the agents' kernels. Values of six characters or more are kept out of
                all records, and out of what the model is told.
            mcp: MCP servers by name: ``{"command": ..., "args": [...], "env": {...}}`` or
                ``{"url": ..., "headers": {...}}``; started when they are first needed, ended with the run.
            step: whether each cell waits for `run.next()`.
            limits: what this run may spend, instead of the limits of this `RLM`.
            on_event: called with each event of the run, on the engine's thread; it must not block.
            continues: the run that this is a follow-up to; see `Run.ask`.
            samples: how many agents answer, none knowing of the others, under the limits of one run; their answers are
                compared as objects (`run.agreement`, `Samples(...)`). It costs as many times as much.
            verify: where the samples (3 by default) differ, one more agent takes the right one: docs/verification.md.
            checks: functions of the answer that run in the agent's kernel. A text or False that one returns, or what
                it raises, sends the answer back to the agent.
            plain: send the data whole in one prompt, without agents and kernels; ``"auto"``: if it fits comfortably;
                ``"passages"``: those of texts that share most words with the question.
            hide: columns whose values no provider sees, besides those of the settings: names, patterns, `Hidden(...)`.

        Raises:
            ConfigError: the question is empty, a setting cannot work, or the data does not fit a plain call.
            KernelDiedError: the root kernel of the run that this is a follow-up to is gone.
            ContextError: the data cannot leave this process.
            KernelStartError: the kernelspec or the sandbox that was asked for is not there; nothing was started.
        """
        wiring = self._wiring()
        from rlm_jupyter.run_setup.question import Question

        asked = Question(
            question,
            context,
            names=names,
            schema=schema,
            tools=tools,
            inherit_tools=inherit_tools,
            env=env,
            mcp=mcp,
            step=step,
            on_event=on_event,
            continues=continues,
            samples=samples,
            verify=verify,
            checks=checks,
            plain=plain,
            hide=hide,
        )
        return wiring.start(asked, self.limits if limits is None else self._check_limits(Limits.of(limits)))

    def estimate(
        self,
        question: str,
        context: Any = None,
        *,
        names: Sequence[str] = (),
        limits: Limits | Mapping[str, object] | None = None,
        models: Sequence[str | ChatModel] = (),
    ) -> Estimate:
        """Estimate what a question will cost and take, from the logs of runs alike; nothing is sent or started.

        Args:
            question: verbatim.
            context: the data.
            names: the variables' names that the data has.
            limits: what the run may spend, instead of the limits of this `RLM`.
            models: estimate it for these instead, beside each other; their keys need not be set.

        Returns:
            What it says when it is printed; for the first model, with those of the others in `beside`.

        Raises:
            ConfigError: a model's name means nothing, or the shared budget cannot be read.
            ContextError: the data cannot leave this process.
        """
        from rlm_jupyter.run_setup.question_estimate import estimate_question, model_for_estimate

        return estimate_question(
            self.settings,
            self.limits if limits is None else Limits.of(limits),
            [model_for_estimate(one, self.settings) for one in models] or [self.model],
            question,
            context,
            names=names,
            sub_model=self.sub_model if self.sub_model is not self.model else None,
            price=self._price,
        )

    # ---- one question for each row

    def map(self, data: Any, question: str, schema: object = None, **options: Any) -> pd.DataFrame:
        """Ask one question for each row of a table, or for each group of rows, and block until there are answers.

        Usage:
            >>> out = rlm.map(
            ...     complaints,
            ...     "Is this complaint about delivery?",
            ...     schema={"delivery": "bool", "why": "string"},
            ...     columns=["text"],
            ... )

        Where more rows follow than the sample, it returns with the sample done, a warning says what the others will
        cost, and the run waits for `rlm_jupyter.rlm.last_run().next()`; `confirm=False` does all.

        Args:
            data: a DataFrame, a Series, or a list of texts or dicts.
            question: that is asked about each row.
            schema: of an answer; see `start_map`.
            options: as of `start_map`.

        Returns:
            A table with the index of the data, or one row for each group; a column for each field of the schema, and
            `error`. Its `attrs` say model, question, prompt, cost and when.

        Raises:
            RLMError: not all rows are done; the error's `.run.value` has what there is.
        """
        return self.start_map(data, question, schema, **options).table()

    async def amap(self, data: Any, question: str, schema: object = None, **options: Any) -> pd.DataFrame:
        """Ask one question for each row, and await the table; see `map`. Data is copied on a thread meanwhile."""
        from rlm_jupyter.engine.run.batch import started

        run: Any = await started(partial(self.start_map, data, question, schema, **options))
        return await run.atable()  # type: ignore[no-any-return]

    def start_map(  # noqa: PLR0913 - options of a question, all but the first by name
        self,
        data: Any,
        question: str,
        schema: object = None,
        *,
        columns: Sequence[Any] | str | None = None,
        by: Any = None,
        per: int | None = None,
        sample: int | None = None,
        confirm: bool = True,
        write_function: bool = True,
        use_function: bool = False,
        limits: Limits | Mapping[str, object] | None = None,
        on_event: Callable[[AnyEvent], None] | None = None,
    ) -> MapRun:
        """Ask one question for each row, and return the run at once; its `value` is the table so far.

        Rows go many to a request, to `sub_model`. What a reply leaves out, doubles or gets wrong is asked again
        alone, then the row has an `error`. The same question over the same data is answered from the cache.

        Args:
            data: a DataFrame, a Series, or a list of texts or dicts.
            question: verbatim.
            schema: of an answer: columns with dtypes or lists of choices (``{"delivery": "bool", "kind": ["late",
                "lost"]}``), a type, a pydantic model or a JSON Schema; None: a text, in the column `answer`.
            columns: of the data, which the model is shown; None: all.
            by: a column, or several: each group of rows goes to a sub-agent with a kernel of its own.
            per: rows of one request at most; None: as many as fit.
            sample: items that are done and priced first; None: 20 rows, or 3 groups.
            confirm: whether the run waits for `next()` after the sample, if there are more.
            write_function: whether the model is asked after the sample, by one request, for a Python function that
                does the same; it is tried on the half of the sample that it was not shown. Not done if `confirm` is
                false, unless `use_function` is true.
            use_function: whether that function does the rest if it agrees in at least 95 % of these rows.
            limits: what this run may spend, instead of the limits of this `RLM`.
            on_event: called with each event of the run, on the engine's thread; it must not block.

        Raises:
            ConfigError: a column that does not exist, a schema or setting that cannot work, or an empty question.
            ContextError: the data is no table.
        """
        wiring = self._wiring()
        from rlm_jupyter.engine.mapping.map_task import read_task

        task = read_task(
            data,
            question,
            schema,
            columns=columns,
            by=by,
            per=per,
            sample=sample,
            confirm=confirm,
            write_function=write_function,
            use_function=use_function,
        )
        allowed = self.limits if limits is None else self._check_limits(Limits.of(limits))
        return wiring.start_map(task, allowed, on_event)

    # ---- many questions

    def chat(
        self,
        context: Any = None,
        *,
        names: Sequence[str] = (),
        tools: Iterable[Callable[..., Any]] = (),
        inherit_tools: bool | None = None,
        env: Mapping[str, str] | None = None,
        mcp: Mapping[str, Mapping[str, Any]] | None = None,
        budget: Limits | Mapping[str, object] | None = None,
        memory: int = 32_000,
    ) -> Chat:
        """Begin a conversation: each question goes on with the kernel, the variables and the chat of those before it.

        Args:
            context: the data, as of `start`; more is added by `Chat.add`.
            names: as of `start`.
            tools: functions that the root's code may call; more are added by `Chat.register`.
            inherit_tools: as of `start`.
            env: as of `start`.
            mcp: as of `start`.
            budget: what all questions together may spend: `cost`, `calls`, `tokens`, `prompt_tokens`,
                `completion_tokens`, `agents` or `seconds`. Each has the limits of this `RLM` besides.
            memory: about how many tokens of the chat go along with a question; of older turns notes are left.

        Raises:
            ConfigError: a setting that cannot work.
        """
        with no_collections():
            from rlm_jupyter.conversation.conversation import Chat
            from rlm_jupyter.run_setup.question import Question

        asked = Question(
            "", context, names=names, tools=tuple(tools), inherit_tools=inherit_tools, env=env, mcp=mcp
        )
        return Chat(self.asker, asked, budget=budget, memory=memory)

    @property
    def asker(self) -> Asker:
        """Asks questions of a conversation with the models and settings of this `RLM`."""
        from rlm_jupyter.conversation.conversation import Asker

        wiring = self._wiring()
        return Asker(lambda asked, limits: wiring.start(asked, self._check_limits(limits)), self.limits)

    def resume(self, run: Run | str | Path, context: Any = None, **options: Any) -> Run:
        """Go on with a run of a process that has ended, and return at once.

        The code of its replies runs again in a new kernel, and nothing is paid for them a second time. Sub-agents whose
        answers were kept are not run again. A run that had its answer has it again, and can be asked on (`ask`); one
        that was cut short goes on where its record ends, under this `RLM`'s limits less what it had spent.

        Args:
            run: a log's path, a part of a run's id in `log_dir`, or a run.
            context: its data, if that was not kept: large data and files are not.
            options: as of `start`; `schema`, `tools`, `mcp` and `checks` are not in a log, and to be given again.

        Raises:
            RunNotFoundError, LogError: there is no such log, or it cannot be read.
            ContextError: the data was not kept.
            ConfigError: the models or the data are others, or nothing is left of a limit.
        """
        from rlm_jupyter.run_setup.recorded_question import resumed

        limits = self._recorded_limits(options)
        asked, left = resumed(self._wiring(), run, context, limits, options)
        return self._wiring().start(asked, left)

    def branch(
        self,
        run: Run | str | Path,
        turn: int,
        *,
        agent: str = "0",
        code: str | None = None,
        observation: str | None = None,
        context: Any = None,
        **options: Any,
    ) -> Run:
        """Ask again from a turn of a run that has ended, with its code or its observation changed; return at once.

        It is a run of its own, with kernels of its own: the other one stays as it is. The code of the turns before runs
        again in a new kernel, unless there is a checkpoint; from the changed turn on, the models are asked.

        Args:
            run: a run, a log's path, or a part of a run's id in `log_dir`.
            turn: its number, as `%rlm show` has it.
            agent: whose turn it is.
            code: what is run in that turn instead.
            observation: what the model is told after that turn instead.
            context: as of `resume`.
            options: as of `start`.

        Raises:
            ConfigError: there is no such turn, or not exactly one of `code` and `observation` is given; or as `resume`.
            RunNotFoundError, LogError, ContextError: as `resume`.
        """
        from rlm_jupyter.run_setup.recorded_question import branched

        limits = self._recorded_limits(options)
        change = {"agent": agent, "turn": turn, "code": code, "observation": observation}
        return branched(self._wiring(), run, context, change, options, limits)

    def _recorded_limits(self, options: dict[str, Any]) -> Limits:
        limits = options.pop("limits", None)
        return self.limits if limits is None else self._check_limits(Limits.of(limits))

    def _wiring(self) -> Wiring:
        with self._wiring_lock:
            if self._wired is None:
                with no_collections():
                    from rlm_jupyter.wiring import Wiring

                self._wired = Wiring(
                    settings=self.settings,
                    model=self.model,
                    sub_model=self.sub_model,
                    price=self._price,
                    secrets=self._secrets,
                    on_event=self._on_event,
                    ask_again=self.start,
                    release=self._close_models,
                )
        self._wired.model, self._wired.sub_model = self.model, self.sub_model
        return self._wired


__all__ = ["RLM", "RLMError", "RunStoppedError", "find_run", "last_run", "runs", "stop_all"]


def __getattr__(name: str) -> Any:
    if name not in ("find_run", "last_run", "runs", "stop_all"):
        raise AttributeError(f"module `rlm_jupyter.rlm` has no attribute `{name}`")
    from rlm_jupyter import registry

    return getattr(registry, name)
