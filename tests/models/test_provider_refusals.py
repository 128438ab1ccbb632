"""What the providers of our profiles say when they refuse: each is told apart, and only what may pass is tried again."""

import pytest
from openai_server import OpenAIServer, raw

from rlm_jupyter.errors import AuthenticationError, ContextTooLongError, ModelError
from rlm_jupyter.models.base import CompletionRequest
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.openai.dialect import window_told
from rlm_jupyter.models.retry import RetryPolicy

CONTEXT = (ContextTooLongError, "longer than the context window")
KEY = (AuthenticationError, "refused the key")
CREDIT = (ModelError, "no credit left")
MODEL = (ModelError, "has no model `some-model`")
REFUSED = (ModelError, "refused the request")
RATE = (ModelError, "limits the rate")


def under_error(message, kind="invalid_request_error", **more):
    return {"error": {"message": message, "type": kind, **more}}


SAID = {
    "moonshot, context": (400, under_error("Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)"), CONTEXT),
    "moonshot, account": (429, under_error("Your account <ak-y> is suspended, please check your plan and billing details",
                                           "exceeded_current_quota_error"), CREDIT),
    "moonshot, busy": (429, under_error("The engine is currently overloaded, please try again later", "engine_overloaded_error"), RATE),
    "moonshot, key": (401, under_error("Invalid Authentication", "invalid_authentication_error"), KEY),
    "moonshot, model": (404, under_error("Not found the model kimi-x or Permission denied", "resource_not_found_error"), MODEL),
    "zai, context": (400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}, CONTEXT),
    "zai, model": (400, {"error": {"code": "1211", "message": "Unknown Model, please check the model code."}}, MODEL),
    "zai, account": (429, {"error": {"code": "1113", "message": "Insufficient balance or no resource package."}}, CREDIT),
    "zai, rate": (429, {"error": {"code": "1302", "message": "Rate limit reached for requests"}}, RATE),
    "zai, content": (400, {"error": {"code": "1301", "message": "System detected potentially unsafe or sensitive content"}}, REFUSED),
    "xai, context": (400, {"code": "Client specified an invalid argument",
                           "error": "This model's maximum prompt length is 131072 but the request contains 200000 tokens."}, CONTEXT),
    "xai, key": (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***yz."}, KEY),
    "xai, model": (404, {"code": "Some requested entity was not found", "error": "The model grok-99 does not exist or your team has no access to it."}, MODEL),
    "xai, new account": (403, {"code": "The caller does not have permission to execute the specified operation",
                               "error": "Your newly created team doesn't have any credits yet."}, CREDIT),
    "xai, account": (429, {"code": "Some resource has been exhausted",
                           "error": "Your team has either used all available credits or reached its monthly spending limit."}, CREDIT),
    "cerebras, context": (400, {"message": "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
                                "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}, CONTEXT),
    "cerebras, rate": (429, {"message": "Tokens per minute limit exceeded - too many tokens processed.", "type": "too_many_tokens_error",
                             "param": "quota", "code": "token_quota_exceeded"}, RATE),
    "cerebras, busy": (429, {"message": "We're experiencing high traffic right now! Please try again soon.", "code": "queue_exceeded"}, RATE),
    "cerebras, key": (401, {"message": "Wrong API Key", "type": "invalid_request_error", "code": "wrong_api_key"}, KEY),
    "fireworks, context": (400, under_error("The prompt is too long: 140000, model maximum context length: 131071"), CONTEXT),
    "fireworks, model": (404, under_error("Model not found, inaccessible, and/or not deployed", code="NOT_FOUND"), MODEL),
    "fireworks, account": (412, under_error("Account x is suspended, possibly due to reaching the monthly spending limit", "error"), CREDIT),
    "together, context": (422, under_error("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 8000 `inputs` "
                                           "tokens and 1000 `max_new_tokens`", param="max_tokens"), CONTEXT),
    "together, model": (404, under_error("Unable to access model nope. Please visit https://api.together.ai/models",
                                         code="model_not_available"), MODEL),
    "together, account": (402, under_error("Credit limit exceeded", "credit_limit"), CREDIT),
    "azure, context": (400, under_error("This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
                                        code="context_length_exceeded"), CONTEXT),
    "azure, key": (401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint."}}, KEY),
    "azure, deployment": (404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}, MODEL),
    "sglang, context": (400, {"object": "error", "message": "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
                              "type": "BadRequestError", "param": None, "code": 400}, CONTEXT),
    "lmstudio, context": (400, {"error": "The number of tokens to keep from the initial prompt is greater than the context length. Try to load "
                                         "the model with a larger context length, or provide a shorter input"}, CONTEXT),
    "lmstudio, model": (404, under_error("No models loaded. Please load a model in the developer page.", code="model_not_found"), MODEL),
    "llamacpp, context": (400, {"error": {"code": 400, "message": "the request exceeds the available context size, try increasing it",
                                          "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 8192}}, CONTEXT),
    "llamacpp, key": (401, {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}}, KEY),
    "minimax, context": (200, {"base_resp": {"status_code": 2013, "status_msg": "invalid params, context window exceeds limit (2013)"}}, CONTEXT),
    "minimax, account": (200, {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, CREDIT),
    "portkey, key": (401, {"status": "failure", "message": "Portkey Error: Invalid API Key. Error Code: 03"}, KEY),
    "portkey, provider": (400, {"status": "failure", "message": "Either x-portkey-config or x-portkey-provider header is required"}, REFUSED),
    "litellm, cool-down": (429, under_error("No deployments available for selected model, Try again in 0.01 seconds.",
                                            "all_deployments_in_cooldown"), RATE),
}  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with OpenAIServer() as server:
        yield server


@pytest.mark.parametrize("name", SAID)
async def test_a_refusal_is_what_it_means_and_only_what_may_pass_is_tried_again(server, name):
    status, body, (kind, words) = SAID[name]
    server.script = lambda _: raw(body, status=status)
    before = server.calls
    retry = RetryPolicy(attempts=2, first_wait=0.001, longest_backoff=0.002)
    model = OpenAIChat("some-model", base_url=server.url, api_key="sk-test-0123456789", retry=retry)
    with pytest.raises(ModelError, match=words) as caught:
        await model.complete(CompletionRequest([{"role": "user", "content": "hi"}], 100))
    assert type(caught.value) is kind
    assert server.calls - before == (2 if words == RATE[1] else 1)
    await model.aclose()


@pytest.mark.parametrize(
    ("name", "window"),
    [("moonshot, context", 131072), ("xai, context", 131072), ("fireworks, context", 131071), ("azure, context", 8192),
     ("sglang, context", 4096)],
)  # fmt: skip
def test_the_window_is_read_where_it_is_told(name, window):
    body = SAID[name][1]
    error = body.get("error", body)
    assert window_told(error if isinstance(error, str) else error["message"]) == window
