"""Language models behind one small protocol: OpenAI-compatible servers, scripts, and the demo."""
