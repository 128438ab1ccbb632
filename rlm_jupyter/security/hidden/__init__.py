"""Values of hidden columns: found in whatever is sent to a provider, replaced by tokens, and put back into code."""
