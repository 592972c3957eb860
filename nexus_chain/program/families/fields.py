"""Every field that a config.json may have, by family: read, supported at some values only, or harmless.

The defaults are those of the configuration classes of ``transformers``. A field that no table knows is refused by its
name: it may say something about the network. The tests hold the tables against the classes of the installed version.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nexus_chain.program.descriptors import LARGEST_SIZE
from nexus_chain.program.errors import CheckpointLayoutError

SHOWN = 60  # characters of a value in a message
ABSENT: Final = object()  # default of a field that has none
IMPORT_ANOTHER = "Import another checkpoint, or one saved with save_pretrained."
#: What a field holds, in the words of a message, and how to tell.
FIELD_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "an integer": lambda value: type(value) is int and abs(value) < LARGEST_SIZE,
    "a number": lambda value: is_number(value),
    "true or false": lambda value: type(value) is bool,
    "a list": lambda value: isinstance(value, list),
    "an object": lambda value: isinstance(value, dict),
    "a text": lambda value: isinstance(value, str),
}
INTEGER, NUMBER, TRUTH, LIST, OBJECT, TEXT = FIELD_KINDS


@dataclass(frozen=True)
class Read:
    """A field that the importer uses: its kind, its value where config.json is silent, whether it may be null."""

    kind: str
    default: Any = ABSENT
    null: bool = False


@dataclass(frozen=True)
class Only:
    """A field that is supported at these values alone; the first is the one where config.json is silent."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Harmless:
    """A field that changes nothing of what the network computes from tokens, whatever its value."""

    reason: str


FieldRule = Read | Only | Harmless


def read_fields(config: Mapping[str, Any], family: str) -> dict[str, Any]:
    """The fields of ``config`` that the importer uses, with the defaults of a family in :data:`FAMILIES`.

    A field without a default is left out where ``config`` has none. Raises :class:`CheckpointLayoutError` with the
    name and the value of each field that is unknown, unsupported or of the wrong kind.
    """
    table = FAMILIES[family]
    _require_known(config, family)
    for name, value in config.items():
        row = table.get(name)
        if isinstance(row, Only):
            _require_supported(name, value, row)
        elif isinstance(row, Read):
            _require_kind(name, value, row)
    used = {name: config.get(name, row.default) for name, row in table.items() if isinstance(row, Read)}
    return {name: value for name, value in used.items() if value is not ABSENT}


def is_harmless(name: str, family: str) -> bool:
    """Whether a field of a family changes nothing of what is computed."""
    return isinstance(FAMILIES[family].get(name), Harmless)


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number; true and false are none."""
    return math.isfinite(value) if type(value) is float else type(value) is int and abs(value) < LARGEST_SIZE**2


def shown(value: Any) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def layout_error(message: str, advice: str = IMPORT_ANOTHER) -> CheckpointLayoutError:
    """The refusal of a configuration."""
    return CheckpointLayoutError(message, advice=advice)


def _require_known(config: Mapping[str, Any], family: str) -> None:
    unknown = {name: value for name, value in config.items() if name not in FAMILIES[family] and value is not None}
    if unknown:
        listed = ", ".join(f"{name} = {shown(value)}" for name, value in unknown.items())
        raise layout_error(
            f"config.json says {listed}, which is not understood of a model of the {family} family",
            "Delete the field from config.json if it says nothing about the network, or import another checkpoint.",
        )


def _require_supported(name: str, value: Any, row: Only) -> None:
    if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in row.values):
        wanted = " or ".join(repr(one) for one in row.values)
        raise layout_error(f"The field {name} of config.json is {shown(value)}, only {wanted} is supported")


def _require_kind(name: str, value: Any, row: Read) -> None:
    if not (row.null if value is None else FIELD_KINDS[row.kind](value)):
        wanted = f"{row.kind} or null" if row.null else row.kind
        raise layout_error(f"The field {name} of config.json has no usable value: {shown(value)} is not {wanted}")


def _harmless(reason: str, *names: str) -> dict[str, FieldRule]:
    return dict.fromkeys(names, Harmless(reason))


#: Fields of every family: of the base class in versions 4 and 5, and those that tools leave in files.
_BASE: Mapping[str, FieldRule] = {
    "architectures": Read(LIST),
    "model_type": Read(TEXT),
    "quantization_config": Only((None,)),
    "auto_map": Only((None,)),
    "per_layer_config": Only((None, {})),
    "pruned_heads": Only(({}, None)),
    "is_encoder_decoder": Only((False, None)),
    "add_cross_attention": Only((False, None)),
    "cross_attention_hidden_size": Only((None,)),
    **_harmless(
        "says where the file comes from",
        "transformers_version", "_name_or_path", "name_or_path", "_commit_hash", "unsloth_fixed", "unsloth_version",
        "transformers.js_config", "is_llama_config", "language", "license", "output_past",
    ),
    **_harmless(
        "the type of stored tensors is in the files, and both sides compute in a type of their own",
        "dtype", "torch_dtype", "use_bfloat16",
    ),
    **_harmless(
        "only training reads it",
        "initializer_range", "gradient_checkpointing", "use_gradient_checkpointing", "neftune_noise_alpha",
        "attention_dropout", "hidden_dropout", "dropout", "embd_pdrop", "attn_pdrop", "resid_pdrop",
        "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout",
    ),
    **_harmless(
        "of heads for classes, which are not imported",
        "id2label", "label2id", "num_labels", "_num_labels", "problem_type", "finetuning_task",
    ),
    **_harmless(
        "says how the same numbers are computed or handed out",
        "use_cache", "return_dict", "use_return_dict", "output_hidden_states", "output_attentions", "torchscript",
        "tf_legacy_loss", "chunk_size_feed_forward", "pretraining_tp", "attn_implementation", "_attn_implementation",
        "_attn_implementation_autoset", "_attn_implementation_internal", "_flash_attn_2_enabled", "use_flash_attn",
        "use_flash_attention_2", "experts_implementation", "_experts_implementation",
        "_experts_implementation_internal", "tie_encoder_decoder", "cache_implementation",
        "keys_to_ignore_at_inference",
    ),
    **_harmless(
        "of the tokenizer or of texts, whose own files say it",
        "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id", "mask_token_id",
        "unk_token_id", "decoder_start_token_id", "tokenizer_class", "tokenizer_padding_side",
        "tokenizer_model_max_length", "model_max_length", "max_sequence_length", "seq_length",
    ),
    **_harmless(
        "chooses tokens, and users choose how",
        "max_length", "max_new_tokens", "min_length", "min_new_tokens", "do_sample", "early_stopping", "num_beams",
        "temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "length_penalty",
        "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences",
        "output_scores", "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id",
        "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens",
        "epsilon_cutoff", "eta_cutoff", "encoder_repetition_penalty", "num_assistant_tokens",
        "num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_lookbehind",
        "target_lookbehind", "num_beam_groups", "diversity_penalty", "task_specific_params",
    ),
}  # fmt: skip

#: Fields of every decoder, with the defaults that most families share.
_DECODER: Mapping[str, FieldRule] = {
    **_BASE,
    "vocab_size": Read(INTEGER, 32000),
    "hidden_size": Read(INTEGER, 4096),
    "intermediate_size": Read(INTEGER, 14336),
    "num_hidden_layers": Read(INTEGER, 32),
    "num_attention_heads": Read(INTEGER, 32),
    "num_key_value_heads": Read(INTEGER, 8, null=True),
    "head_dim": Read(INTEGER, None, null=True),
    "hidden_act": Only(("silu", "swish")),
    "activation": Only((None, "swiglu", "silu")),
    "max_position_embeddings": Read(INTEGER, 131072),
    "rms_norm_eps": Read(NUMBER, 1e-6),
    "tie_word_embeddings": Read(TRUTH, False),
    "rope_theta": Read(NUMBER, 10000.0),
    "rope_scaling": Read(OBJECT, None, null=True),
    "rope_parameters": Read(OBJECT, None, null=True),
    "original_max_position_embeddings": Read(NUMBER, null=True),
    "partial_rotary_factor": Only((1.0, None)),
    "rope_interleaved": Only((False, None)),
    "use_mrope": Only((False, None)),
    "attention_bias": Only((False, None)),
    "mlp_bias": Only((False, None)),
    "is_causal": Only((True, None)),
    **_harmless("every decoder is one", "is_decoder"),
}
_MISTRAL: Mapping[str, FieldRule] = {
    **_DECODER,
    "sliding_window": Read(INTEGER, 4096, null=True),
    "layer_types": Read(LIST, None, null=True),
}
_QWEN: Mapping[str, FieldRule] = {
    **_MISTRAL,
    "vocab_size": Read(INTEGER, 151936),
    "intermediate_size": Read(INTEGER, 22016),
    "num_key_value_heads": Read(INTEGER, 32, null=True),
    "max_position_embeddings": Read(INTEGER, 32768),
    "use_sliding_window": Read(TRUTH, False),
    "max_window_layers": Read(INTEGER, 28),
}

#: What the importer does with each field, by family.
FAMILIES: Mapping[str, Mapping[str, FieldRule]] = {
    "llama": {
        **_DECODER,
        "intermediate_size": Read(INTEGER, 11008),
        "num_key_value_heads": Read(INTEGER, None, null=True),
        "max_position_embeddings": Read(INTEGER, 2048),
        "attention_bias": Read(TRUTH, False),
        "mlp_bias": Read(TRUTH, False),
    },
    "mistral": _MISTRAL,
    "ministral": _MISTRAL,  # the name in transformers of a Mistral with layer_types
    "mixtral": {
        **_DECODER,
        "rms_norm_eps": Read(NUMBER, 1e-5),
        "rope_theta": Read(NUMBER, 1000000.0),
        "sliding_window": Read(INTEGER, None, null=True),
        "num_local_experts": Read(INTEGER, 8),
        "num_experts": Read(INTEGER, None, null=True),
        "num_experts_per_tok": Read(INTEGER, 2),
        "norm_topk_prob": Only((True, None)),
        **_harmless("only training reads it", "output_router_logits", "router_aux_loss_coef", "router_jitter_noise"),
    },
    "qwen2": _QWEN,
    "qwen3": {
        **_QWEN,
        "head_dim": Read(INTEGER, 128),
        "attention_bias": Read(TRUTH, False),
    },
    "bert": {
        **_BASE,
        "vocab_size": Read(INTEGER, 30522),
        "hidden_size": Read(INTEGER, 768),
        "num_hidden_layers": Read(INTEGER, 12),
        "num_attention_heads": Read(INTEGER, 12),
        "intermediate_size": Read(INTEGER, 3072),
        "hidden_act": Only(("gelu", "gelu_python")),
        "max_position_embeddings": Read(INTEGER, 512),
        "type_vocab_size": Read(INTEGER, 2),
        "layer_norm_eps": Read(NUMBER, 1e-12),
        "position_embedding_type": Only(("absolute", None)),
        "is_decoder": Only((False, None)),
        **_harmless(
            "of the pooler or of a head, which are not imported",
            "tie_word_embeddings", "directionality", "pooler_fc_size", "pooler_num_attention_heads",
            "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
        ),
    },
}  # fmt: skip
