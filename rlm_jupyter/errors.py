"""The exceptions of rlm_jupyter.

    RLMError
    ├── ConfigError (ValueError)          a setting, model, key or schema that cannot work; nothing was started
    │   ├── MissingKeyError               the chosen provider needs a key that is not set
    │   └── UnknownPriceError             a money limit on a model whose price is not known
    ├── ContextError (TypeError)          the data cannot be handed to an agent
    ├── HiddenDataChangedError            a file with hidden columns changed during the run: nothing more is sent
    ├── ModelError                        the provider did not give a usable reply
    │   ├── AuthenticationError           401 or 403: the key was refused
    │   ├── ProviderUnreachableError      no connection, or only time-outs
    │   ├── ContextTooLongError           the prompt is larger than the model's window
    │   ├── ImagesRefusedError            the model does not take images
    │   ├── AudioRefusedError             the model, or its protocol, does not take audio
    │   ├── NotRecordedError              a replayed log holds no reply to a request
    │   └── MalformedReplyError           an unreadable reply, after retries
    │       └── EmptyReplyError           a reply without text: nothing at all, or only thoughts
    ├── KernelError                       an agent's kernel
    │   ├── KernelStartError              it did not start; carries its stderr
    │   ├── KernelDiedError               it died while it was needed
    │   └── CellTimeoutError (TimeoutError)   a cell passed `Limits.cell_seconds`
    ├── ValueTransferError                a value cannot cross from one process to another
    │   ├── UnsafeValueError              it has no form that the notebook may decode without running code
    │   └── MalformedValueError (ValueError)  the bytes are not what they claim to be
    ├── VariableNotFoundError (KeyError)  an agent has no variable of that name
    ├── AgentNotFoundError (KeyError)     a run has no agent of that id
    ├── ToolError                         an MCP server did not start or answer, or a tool could not be handed over
    ├── AgentFailedError                  an agent gave up without a value
    ├── LimitReachedError                 a limit of `Limits` was reached; `.run.value` holds what there was
    ├── RunStoppedError                   the user stopped the run
    ├── RunNotFoundError (KeyError)       no run of that id, or no log at that path
    └── LogError (ValueError)             a log cannot be read

Each message says what happened, names the thing in backticks, and gives the next step. An error of a run
carries it as `.run`, so that its partial value, variables and log are never lost.
"""

from __future__ import annotations

from typing import Any


class RLMError(Exception):
    """The base of all exceptions of this package.

    Attributes:
        run: the `Run` that failed, with its partial value and variables; None if no run had started. It is not typed
            as that: errors are below the engine, and every module imports them.
    """

    run: Any = None

    def __init__(self, message: str = "", *, run: Any = None) -> None:
        super().__init__(message)
        self.message = message
        if run is not None:
            self.run = run

    def __str__(self) -> str:
        return self.message

    def _render_traceback_(self) -> list[str]:
        """Returns the lines that IPython shows in place of a traceback (IPython's custom traceback protocol)."""
        name = type(self).__name__
        # A name of a file that is not UTF-8 may stand in it, which no terminal takes.
        return [f"{name}: {self.message.encode('utf-8', 'backslashreplace').decode()}"]


class ConfigError(RLMError, ValueError):
    """A setting, model, key or schema that cannot work; raised before anything is started."""


class MissingKeyError(ConfigError):
    """The chosen provider needs a key, and the environment variable for it is not set."""


class UnknownPriceError(ConfigError):
    """There is a limit in money, and the price of the model is not known."""


class ContextError(RLMError, TypeError):
    """The data cannot be handed to an agent: it has no form that can leave its process."""


class HiddenDataChangedError(RLMError):
    """A file with hidden columns changed while the run went on: what it holds now is not known, and nothing is sent."""


class ModelError(RLMError):
    """The provider did not give a usable reply.

    Attributes:
        retryable: whether the same request may succeed later.
    """

    retryable = False


class AuthenticationError(ModelError):
    """The provider refused the key (401 or 403)."""


class ProviderUnreachableError(ModelError):
    """No connection to the provider, or nothing but time-outs and server errors."""

    retryable = True


class ContextTooLongError(ModelError):
    """The prompt is larger than the model's context window."""


class ImagesRefusedError(ModelError):
    """The model, or its server, does not take images."""


class AudioRefusedError(ModelError):
    """The model, its server or its protocol does not take audio."""


class NotRecordedError(ModelError):
    """A run that is replayed from a log asks what the log holds no reply to; the message says where it departs."""


class MalformedReplyError(ModelError):
    """The provider answered, but with nothing that can be used: no choices, no text, no JSON."""

    retryable = True


class EmptyReplyError(MalformedReplyError):
    """The model replied, and wrote no text.

    Attributes:
        only_thoughts: whether it did think.
    """

    def __init__(self, message: str = "", *, only_thoughts: bool = False) -> None:
        super().__init__(message)
        self.only_thoughts = only_thoughts


class KernelError(RLMError):
    """An agent's kernel did not do what was asked."""


class KernelStartError(KernelError):
    """A kernel did not start; the message ends with what it wrote to stderr."""


class KernelDiedError(KernelError):
    """A kernel died while a cell ran or a variable was asked for."""


class CellTimeoutError(KernelError, TimeoutError):
    """A cell ran longer than `Limits.cell_seconds` and was ended."""


class ValueTransferError(RLMError):
    """A value cannot cross from one process to another."""


class UnsafeValueError(ValueTransferError):
    """The value could be decoded only by running code that an agent wrote, so the notebook refuses it."""


class MalformedValueError(ValueTransferError, ValueError):
    """An encoded value is not what it claims to be: truncated, forged, too deep or too large."""


class VariableNotFoundError(RLMError, KeyError):
    """An agent has no variable of that name; the message lists those it has."""


class AgentNotFoundError(RLMError, KeyError):
    """A run has no agent of that id; the message lists those it has."""


class AgentFailedError(RLMError):
    """An agent ended without a value."""


class NoAnswerCodeError(RLMError):
    """There is no code behind an answer that could be handed out, or it cannot be run on other data."""


class ToolError(RLMError):
    """An MCP server did not start or did not answer, or a tool could not be handed to an agent."""


class LimitReachedError(RLMError):
    """A limit was reached; what the agents had is in `.run.value` and in their variables.

    Attributes:
        limit: the name of the field of `Limits`, such as ``"cost"`` or ``"calls_per_agent"``.
    """

    def __init__(self, message: str = "", *, limit: str = "", run: Any = None) -> None:
        super().__init__(message, run=run)
        self.limit = limit


class RunStoppedError(RLMError):
    """The user stopped the run, by Stop, `run.stop()` or an interrupt."""


class RunNotFoundError(RLMError, KeyError):
    """There is no run of that id in this process, and no log at that path."""


class LogError(RLMError, ValueError):
    """A log cannot be read: it is not one of ours, or its first line is damaged."""
