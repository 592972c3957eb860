"""Models on this machine, or on any server that speaks as Ollama does: this project's gateway is one."""
