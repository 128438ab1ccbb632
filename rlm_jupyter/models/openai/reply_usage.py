"""What a reply cost, as providers tell it: under different names, in different places, and not always truly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rlm_jupyter.models.base import Usage

_MOST: Final = 10**9
"""More tokens, or USD, than any reply has; a larger figure is no figure."""
_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details")
_CACHED: Final = (
    "prompt_cache_hit_tokens",
    "cached_tokens",
    "cache_read_input_tokens",
    "cached_prompt_tokens",
)
"""Names at the top of a usage: DeepSeek's, Moonshot's, Anthropic's, xAI's."""
_WRITTEN: Final = ("cache_write_tokens", "cache_creation_tokens")
"""Names in the details: OpenAI's and OpenRouter's, LiteLLM's."""


def usages_in(payload: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yields each object of a completion or chunk that may hold its usage, the usual place first."""
    choices = payload.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    holders = [payload, choice]
    if isinstance(choice, Mapping):  # Moonshot's place, in the last chunk
        holders += [choice.get("delta"), choice.get("message")]
    holders += [payload.get(name) for name in ("x_groq", "meta", "metadata", "response", "message")]
    for holder in holders:
        if isinstance(holder, Mapping) and isinstance(usage := holder.get("usage"), Mapping):
            yield usage


def usage_of(payload: Mapping[str, object]) -> Usage | None:
    """Returns the usage that a completion or a chunk tells of; None if there is none that can be true.

    It is marked as estimated if the server counted the reply, and of the prompt only what it did not have in its
    cache.
    """
    told = next((usage for raw in usages_in(payload) if (usage := usage_from(raw)) is not None), None)
    return told or _llama_cpp_usage(payload) or _ollama_usage(payload)


def _llama_cpp_usage(payload: Mapping[str, object]) -> Usage | None:
    """Read llama.cpp's `timings` (https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md).

    `prompt_n` is what was read anew. Servers before `cache_n` do not tell what else the prompt had.
    """
    timings = payload.get("timings")
    if not isinstance(timings, Mapping):
        return None
    read, said = _tokens(timings.get("prompt_n")), _tokens(timings.get("predicted_n"))
    if read is None or said is None:
        return None
    cached = _tokens(timings.get("cache_n"))
    whole = read + (cached or 0)
    return Usage(whole, said, cached or 0, estimated=cached is None or not whole)


def _ollama_usage(payload: Mapping[str, object]) -> Usage | None:
    """Read the counts of Ollama's own API (https://github.com/ollama/ollama/blob/main/docs/api.md).

    Some versions leave `prompt_eval_count` out if all of the prompt is in the cache.
    """
    said = _tokens(payload.get("eval_count"))
    if said is None:
        return None
    prompt = _tokens(payload.get("prompt_eval_count"))
    return Usage(prompt or 0, said, estimated=not prompt)


def usage_from(raw: Mapping[str, object]) -> Usage | None:
    """Read a usage object; None unless both of its main figures can be true.

    A prompt of no tokens does not exist, so that 0 is no figure either.
    """
    prompt, completion = _tokens(raw.get("prompt_tokens")), _tokens(raw.get("completion_tokens"))
    cached = _cached(raw)
    if not prompt:
        prompt = _tokens(raw.get("input_tokens"))
        if prompt is not None:
            # Anthropic's count leaves out what was read from its cache or written to it.
            parts = (raw.get("cache_read_input_tokens"), raw.get("cache_creation_input_tokens"))
            prompt += sum(_tokens(part) or 0 for part in parts)
    if completion is None:
        completion = _tokens(raw.get("output_tokens"))
    total = _tokens(raw.get("total_tokens"))
    if prompt and total is not None and total >= prompt:
        # Google and xAI leave thoughts out of the reply's tokens, and bill them: only the sum has them.
        completion = max(completion or 0, total - prompt)
    if not prompt or completion is None:
        return None
    cached = min(cached, prompt)
    written = min(_written(raw), prompt - cached)
    return Usage(prompt, completion, cached, cache_write_tokens=written)


def cost_of(payload: Mapping[str, object]) -> float | None:
    """Read the cost in USD that the provider itself reports (OpenRouter and its like)."""
    for usage in usages_in(payload):
        cost = _amount(usage.get("cost"))
        if cost is None:
            continue
        details = usage.get("cost_details")
        if usage.get("is_byok") and isinstance(details, Mapping):
            # With a key of one's own, OpenRouter's cost is only its fee; the provider's bill comes on top.
            cost += _amount(details.get("upstream_inference_cost")) or 0.0
        return cost
    return _amount(payload.get("cost"))


def _written(raw: Mapping[str, object]) -> int:
    """Returns the tokens of a prompt that were written to the provider's cache, under any of their names."""
    details = [found for name in _DETAILS if isinstance(found := raw.get(name), Mapping)]
    figures = [_tokens(found.get(name)) for found in details for name in _WRITTEN]
    figures.append(_tokens(raw.get("cache_creation_input_tokens")))
    return next((figure for figure in figures if figure), 0)


def cost_in_headers(headers: Mapping[str, str]) -> float | None:
    """Read the cost in USD that LiteLLM's proxy puts into a header of a reply that does not stream.

    Of a model whose price it does not know, it says 0, which is no cost
    (https://docs.litellm.ai/docs/proxy/response_headers).
    """
    if "event-stream" in headers.get(
        "content-type", ""
    ):  # sent before anything was written, and so before any cost
        return None
    try:
        return _amount(float(headers.get("x-litellm-response-cost", ""))) or None
    except ValueError:
        return None


def _cached(raw: Mapping[str, object]) -> int:
    details = [found for name in _DETAILS if isinstance(found := raw.get(name), Mapping)]
    figures = [_tokens(found.get("cached_tokens")) for found in details]
    figures += [_tokens(raw.get(name)) for name in _CACHED]
    return next((figure for figure in figures if figure), 0)


def _tokens(value: object) -> int | None:
    number = _amount(value)
    return None if number is None or not number.is_integer() else int(number)


def _amount(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= _MOST else None  # also false for a NaN
