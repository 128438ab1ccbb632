"""A request of DSPy as one prompt: instructions, examples and the question in order.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

from typing import Any

_GO_ON = "Write the next message of the assistant, without a tag."


class UnsentPart(Exception):  # noqa: N818 - named for what it is about
    """A request has something that no plain completion takes; the message says what, and what to do."""


def read_request(request: Any) -> tuple[str, list[bytes], list[bytes]]:
    """Returns the prompt of a request, and the files of its images and of its audio.

    The run asks plain questions of one message, so earlier messages (DSPy's examples and histories) stand in the
    prompt, each between tags of its role.

    Args:
        request: a `dspy.lm15.Request`.

    Raises:
        UnsentPart: it has tools, or parts that are neither text nor an image or audio with its bytes.
    """
    if request.tools:
        raise UnsentPart(
            "No tools go with `llm_query`. Leave `use_native_function_calling` at its default, False: "
            "`dspy.ReAct` and the adapters then write tools into the prompt."
        )
    files: dict[str, list[bytes]] = {"image": [], "audio": []}
    texts = [(message.role, _text(message.parts, files)) for message in request.messages]
    system = request.system
    opening = system if isinstance(system, str) else _text(system or (), files)
    if len(texts) == 1:
        parts = [opening, texts[0][1]]
    else:
        parts = [opening, *(f"<{role}>\n{text}\n</{role}>" for role, text in texts), _GO_ON]
    return "\n\n".join(part for part in parts if part), files["image"], files["audio"]


def _text(parts: Any, files: dict[str, list[bytes]]) -> str:
    """Returns the text of a message, with a mark where a file stood; the files are appended."""
    return "\n".join(_part_text(part, files) for part in parts)


def _part_text(part: Any, files: dict[str, list[bytes]]) -> str:
    if part.type in ("text", "thinking"):
        return str(part.text)
    found = files.get(part.type)
    if found is None:
        raise UnsentPart(f"A part of the kind `{part.type}` cannot be sent by `llm_query`: send its text.")
    if part.data is None and part.path is None:
        raise UnsentPart(
            f"An {part.type} by address is not fetched: open the file and hand its bytes over, as in "
            "`dspy.Image(open(path, 'rb').read())`."
        )
    found.append(part.bytes)
    return f"[{part.type} {len(found)}]"
