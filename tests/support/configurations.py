"""config.json files as public checkpoints have them, by name; sizes are facts of those models."""

from __future__ import annotations

from typing import Any

_LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 1,
    "eos_token_id": 2, "hidden_act": "silu", "initializer_range": 0.02, "model_type": "llama", "pretraining_tp": 1,
    "rms_norm_eps": 1e-05, "rope_scaling": None, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "transformers_version": "4.35.0", "use_cache": True,
}  # fmt: skip
_MISTRAL: dict[str, Any] = {
    "architectures": ["MistralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
    "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336,
    "max_position_embeddings": 32768, "model_type": "mistral", "num_attention_heads": 32, "num_hidden_layers": 32,
    "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 4096,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.34.0.dev0",
    "use_cache": True, "vocab_size": 32000,
}  # fmt: skip
_QWEN: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
    "hidden_act": "silu", "hidden_size": 896, "initializer_range": 0.02, "intermediate_size": 4864,
    "max_position_embeddings": 32768, "max_window_layers": 21, "model_type": "qwen2", "num_attention_heads": 14,
    "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
    "sliding_window": 32768, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
    "transformers_version": "4.43.1", "use_cache": True, "use_sliding_window": False, "vocab_size": 151936,
}  # fmt: skip
_QWEN3: dict[str, Any] = {
    **_QWEN, "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "head_dim": 128, "hidden_size": 1024,
    "intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3",
    "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8, "rope_scaling": None,
    "sliding_window": None, "transformers_version": "4.51.0",
}  # fmt: skip
_BERT: dict[str, Any] = {
    "architectures": ["BertModel"], "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1, "hidden_size": 384, "initializer_range": 0.02, "intermediate_size": 1536,
    "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert", "num_attention_heads": 12,
    "num_hidden_layers": 6, "pad_token_id": 0, "position_embedding_type": "absolute",
    "transformers_version": "4.8.2", "type_vocab_size": 2, "use_cache": True, "vocab_size": 30522,
}  # fmt: skip
_LLAMA3_SCALING: dict[str, Any] = {
    "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}  # fmt: skip

PUBLIC: dict[str, dict[str, Any]] = {
    "SmolLM2-135M-Instruct": {
        **_LLAMA, "hidden_size": 576, "intermediate_size": 1536, "is_llama_config": True,
        "max_position_embeddings": 8192, "mlp_bias": False, "num_attention_heads": 9, "num_hidden_layers": 30,
        "num_key_value_heads": 3, "pad_token_id": 2, "rope_interleaved": False, "rope_theta": 100000,
        "tie_word_embeddings": True, "vocab_size": 49152,
        "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16", "fp16": "float16"}},
    },
    "TinyLlama-1.1B-Chat-v1.0": {
        **_LLAMA, "hidden_size": 2048, "intermediate_size": 5632, "max_position_embeddings": 2048,
        "num_attention_heads": 32, "num_hidden_layers": 22, "num_key_value_heads": 4, "rope_theta": 10000.0,
        "vocab_size": 32000,
    },
    "Llama-2-7b-hf": {
        **{name: value for name, value in _LLAMA.items() if not name.startswith("attention_")},
        "_name_or_path": "meta-llama/Llama-2-7b-hf", "hidden_size": 4096, "intermediate_size": 11008,
        "max_position_embeddings": 4096, "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 32, "torch_dtype": "float16", "vocab_size": 32000,
    },
    "vicuna-7b-v1.3": {
        "_name_or_path": "vicuna-7b", "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
        "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 11008,
        "max_position_embeddings": 2048, "max_sequence_length": 2048, "model_type": "llama",
        "num_attention_heads": 32, "num_hidden_layers": 32, "pad_token_id": 0, "rms_norm_eps": 1e-06,
        "tie_word_embeddings": False, "torch_dtype": "float16", "transformers_version": "4.28.1", "use_cache": True,
        "vocab_size": 32000,
    },
    "Llama-3.2-1B-Instruct": {
        **_LLAMA, "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "head_dim": 64,
        "hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": False,
        "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
        "rope_scaling": _LLAMA3_SCALING, "rope_theta": 500000.0, "tie_word_embeddings": True, "vocab_size": 128256,
    },
    "deepseek-coder-1.3b-instruct": {
        **_LLAMA, "hidden_size": 2048, "intermediate_size": 5504, "max_position_embeddings": 16384,
        "num_attention_heads": 16, "num_hidden_layers": 24, "num_key_value_heads": 16, "rope_theta": 100000,
        "rope_scaling": {"factor": 4.0, "type": "linear"}, "rms_norm_eps": 1e-06, "vocab_size": 32256,
    },
    "Yarn-Llama-2-7b-64k": {
        **_LLAMA, "hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 65536,
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "vocab_size": 32000,
        "rope_scaling": {
            "factor": 16.0, "finetuned": True, "original_max_position_embeddings": 4096, "type": "yarn",
        },
    },
    "Falcon3-1B-Instruct": {
        **_LLAMA, "activation": "swiglu", "head_dim": 256, "hidden_size": 2048, "intermediate_size": 8192,
        "max_position_embeddings": 8192, "mlp_bias": False, "num_attention_heads": 8, "num_hidden_layers": 18,
        "num_key_value_heads": 4, "rope_theta": 1000042, "vocab_size": 131072,
    },
    "a tuned Llama": {
        **_LLAMA, "hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 2048,
        "num_attention_heads": 32, "num_hidden_layers": 16, "vocab_size": 32000, "unsloth_fixed": True,
        "unsloth_version": "2024.9", "_attn_implementation_autoset": True, "gradient_checkpointing": False,
        "tokenizer_padding_side": "left", "do_sample": True, "temperature": 0.7, "top_p": 0.9, "max_length": 4096,
    },
    "Mistral-7B-v0.1": _MISTRAL,
    "Mistral-7B-Instruct-v0.2": {**_MISTRAL, "rope_theta": 1000000.0, "sliding_window": None},
    "Mistral-7B-Instruct-v0.3": {
        **_MISTRAL, "rope_theta": 1000000.0, "sliding_window": None, "vocab_size": 32768,
    },
    "Mistral-Nemo-Instruct-2407": {
        **_MISTRAL, "head_dim": 128, "hidden_size": 5120, "max_position_embeddings": 1024000,
        "num_hidden_layers": 40, "rope_theta": 1000000.0, "sliding_window": None, "vocab_size": 131072,
    },
    "Mixtral-8x7B-Instruct-v0.1": {
        **_MISTRAL, "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "num_experts_per_tok": 2,
        "num_local_experts": 8, "output_router_logits": False, "rope_theta": 1000000.0,
        "router_aux_loss_coef": 0.02, "router_jitter_noise": 0.0, "sliding_window": None,
    },
    "Qwen1.5-0.5B-Chat": {
        **_QWEN, "hidden_size": 1024, "intermediate_size": 2816, "num_attention_heads": 16,
        "num_key_value_heads": 16,
    },
    "Qwen2.5-0.5B-Instruct": _QWEN,
    "Qwen2.5-7B-Instruct with YaRN": {
        **_QWEN, "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28,
        "num_hidden_layers": 28, "num_key_value_heads": 4, "tie_word_embeddings": False, "vocab_size": 152064,
        "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"},
    },
    "DeepSeek-R1-Distill-Qwen-1.5B": {
        **_QWEN, "hidden_size": 1536, "intermediate_size": 8960, "max_position_embeddings": 131072,
        "num_attention_heads": 12, "num_hidden_layers": 28, "rope_theta": 10000, "sliding_window": 4096,
        "tie_word_embeddings": False, "use_mrope": False,
    },
    "Qwen3-0.6B": _QWEN3,
    "Qwen3-Embedding-0.6B": {**_QWEN3, "max_position_embeddings": 32768, "vocab_size": 151669},
    "all-MiniLM-L6-v2": {
        **_BERT, "_name_or_path": "nreimers/MiniLM-L6-H384-uncased", "gradient_checkpointing": False,
    },
    "bge-small-en-v1.5": {
        **_BERT, "_name_or_path": "BAAI/bge-small-en", "classifier_dropout": None, "num_hidden_layers": 12,
        "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, "torch_dtype": "float32",
    },
    "bge-small-zh-v1.5": {
        **_BERT, "bos_token_id": 0, "directionality": "bidi", "eos_token_id": 2, "hidden_size": 512,
        "intermediate_size": 2048, "num_attention_heads": 8, "num_hidden_layers": 4, "output_past": True,
        "pooler_fc_size": 768, "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3,
        "pooler_size_per_head": 128, "pooler_type": "first_token_transform", "vocab_size": 21128,
    },
    "e5-small-v2": {**_BERT, "_name_or_path": "tmp/", "classifier_dropout": None, "num_hidden_layers": 12},
    "gte-base": {
        **_BERT, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "torch_dtype": "float16",
    },
}  # fmt: skip
"""Public configurations, none of which has a field that must be refused."""
