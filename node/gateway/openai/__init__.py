"""OpenAI's interface as pure types and translation: no network, no HTTP."""
