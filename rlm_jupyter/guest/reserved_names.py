"""The names that agents' code has from the start: data and tools must not hide them."""

RESERVED = frozenset(
    {
        *("FINAL", "FINAL_VAR", "SUBMIT", "SHOW_VARS", "answer", "ask_user", "budget", "cite", "context"),
        *("llm_query", "llm_query_batched", "llm_query_batch", "llm_batch", "batch_llm_query"),
        *("rlm_query", "rlm_query_batched", "Failed", "FinalRejected", "RLMQueryError"),
        *("load_skill", "mcp_call", "mcp_list_tools", "mcp_tool_schema"),
        *("mcp_list_resources", "mcp_list_resource_templates", "mcp_read_resource"),
    }
)
"""A tool of such a name would hide what agents are told to call."""
