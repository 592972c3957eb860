"""Names of the files that a model's folder holds, as a checkpoint and once it is imported."""

from __future__ import annotations

PROGRAM_FILE = "program.json"
WEIGHTS_FILE = "weights.safetensors"
CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
METRICS_FILE = "metrics.json"
DRAFTS_FILE = "drafts.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"
