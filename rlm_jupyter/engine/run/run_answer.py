"""The answer of a run's root: decoded when somebody asks for it, and kept when the run's kernels are gone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent_requests.passage_check import settled
from rlm_jupyter.errors import RLMError, UnsafeValueError
from rlm_jupyter.events.agreement import Agreement
from rlm_jupyter.values.codec.spans import has_spans

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.conductor import Conductor
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.values.store import Buffer

_SMALL_BYTES = 1 << 20


class RunAnswer:
    """What the root gave to FINAL.

    Args:
        conductor: the run on the engine's loop.
        schema: what the answer must be; None for anything.
    """

    def __init__(self, conductor: Conductor, schema: AnswerSchema | None) -> None:
        self._conductor = conductor
        self._schema = schema
        self._value: Any = None
        self._is_decoded = False
        self._kept: Buffer | None = None

    @property
    def description(self) -> dict[str, Any] | None:
        """What it is: type, shape, preview; None if there is none."""
        root = self._conductor.agents.get("0")
        return root.value.description if root is not None and root.value is not None else None

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that the encoded answer takes, where the run's own values no longer hold it."""
        return self._kept.size if self._kept is not None and not self._kept.spilled else 0

    def load(self, *, trust: bool, final: bool) -> Any:
        """Returns the answer, decoded; None if there is none.

        Args:
            trust: decode it even if that runs code that an agent wrote (cloudpickle), in this process.
            final: whether the run has ended, so that the answer cannot change any more and is decoded once.

        Raises:
            UnsafeValueError: it has no safe form, and `trust` is false.
        """
        if self._is_decoded:
            return self._value
        root = self._conductor.agents.get("0")
        own = root.own_value if root is not None else None
        if own is not None:
            if final:
                self._value, self._is_decoded = own, True
            return own
        encoded = self.encoded
        if encoded is None:
            return None
        try:
            cites = has_spans(encoded.fd)
            value = self._typed(encoded.load(trust=trust))
            if cites:
                value = settled(value, encoded.passages)
        except UnsafeValueError as error:
            how = "`run.pull_value(trust=True)` does; `%rlm last` gives the newest run."
            raise UnsafeValueError(f"{error.message} For the answer {how}") from None
        self._mark(value)
        if final:
            self._value, self._is_decoded = value, True
        return value

    def _mark(self, value: Any) -> None:
        """Note on a table of pandas how many samples agree with it."""
        told = self._conductor.journal.state.agreement
        if told is not None and isinstance(getattr(value, "attrs", None), dict):
            value.attrs["agreement"] = float(Agreement(told))

    @property
    def encoded(self) -> Buffer | None:
        """The answer as it came from the root's kernel; None if there is none."""
        root = self._conductor.agents.get("0")
        return self._kept or (root.value if root is not None else None)

    def keep(self, *, final: bool) -> None:
        """Own the answer, before the run's values are closed: a small one as an object, others as their bytes.

        A large one is decoded again when somebody asks for it: it is not to be held twice, as an object that nobody
        uses any more. A small one is not worth a descriptor.

        Args:
            final: as for `load`.
        """
        root = self._conductor.agents.get("0")
        if root is not None and root.own_value is not None:
            self.load(trust=False, final=final)
            return
        if root is None or root.value is None or root.value.closed:
            return
        if root.value.size <= _SMALL_BYTES:
            with contextlib.suppress(RLMError):
                self.load(trust=False, final=final)
                return
        self._kept = root.value.dup()
        self._value, self._is_decoded = None, False

    def _typed(self, value: Any) -> Any:
        if self._schema is None:
            return value
        with contextlib.suppress(ValueError):  # it was checked when FINAL was called
            return self._schema.validate(value)
        return value
