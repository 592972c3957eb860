"""A tiny trained folder and what publishing it leaves on a chain and in a block store."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import torch
from eth_utils.crypto import keccak
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from nexus_chain.certificates.certificate import SignedCertificate
from nexus_chain.certificates.publication import Publication
from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.chain.wallet import Wallet
from nexus_chain.content.block_store import BlockStore

PUBLISHER = Wallet(bytes(31) + b"\x07")
CONTEXT = 32


def texts(prefix: str, count: int) -> list[tuple[str, str]]:
    return [
        (f"{prefix}/file_{i}.py", f"def {prefix}_{i}(value):\n    return value + {i * i}\n" * (3 + i))
        for i in range(count)
    ]


TRAINING, HELD_OUT = texts("alpha", 6), texts("beta", 4)


class FloatModel:
    def __init__(self, folder: Path) -> None:
        self._model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._model(input_ids=tokens[None].long(), use_cache=False).logits[0]
        return found


def corpus_hash(files: list[tuple[str, str]]) -> str:
    lines = (f"{sha256(text.encode()).hexdigest()}  {path}\n" for path, text in files)
    return sha256("".join(lines).encode()).hexdigest()


def train(folder: Path) -> None:
    """Write what ``scripts/runs/train_model.py`` writes, for a network that was never trained."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator([t for _, t in TRAINING], 300, 2, special_tokens=["<|endoftext|>"], show_progress=False)
    bpe.save(str(folder / "tokenizer.json"))
    config = LlamaConfig(
        vocab_size=bpe.get_vocab_size(), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=CONTEXT, tie_word_embeddings=True,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(1)
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    run = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "vocab_size": bpe.get_vocab_size(), "context": CONTEXT, "batch": 2, "steps": 40,
        "warmup": 2, "adam_learning_rate": 0.003, "weight_decay": 0.05, "seed": 1,
    }  # fmt: skip
    record = {
        "run": run,
        "parameters": sum(p.numel() for p in model.parameters()),
        "data": {
            "source": "synthetic functions",
            "python": platform.python_version(),
            "licence": "PSF-2.0",
            "training": {"files": len(TRAINING), "tokens": 900, "sha256": corpus_hash(TRAINING)},
            "held_out": {"files": len(HELD_OUT), "tokens": 600, "sha256": corpus_hash(HELD_OUT)},
        },
        "tokens_seen": 40 * 2 * CONTEXT,
        "torch": torch.__version__,
        "threads": 2,
        "curve": [
            {"step": 20, "training": 5.0, "seconds": 1.0},
            {"step": 40, "training": 4.5, "held_out": 4.75, "seconds": 2.0},
        ],
    }
    (folder / "training.json").write_text(json.dumps(record))


@dataclass
class Registries:
    """What the two registries would answer; ``test_audit_on_chain.py`` asks the real ones."""

    anchors: dict[bytes, AnchoredCertificate] = field(default_factory=dict)
    published: dict[bytes, tuple[str, ModelVersion]] = field(default_factory=dict)

    def certificate(self, model_version: bytes) -> AnchoredCertificate | None:
        return self.anchors.get(model_version)

    def publisher_of(self, version_id: bytes) -> str | None:
        return self.published[version_id][0] if version_id in self.published else None

    def version(self, version_id: bytes) -> ModelVersion:
        return self.published[version_id][1]

    @property
    def certificates(self) -> Registries:
        return self

    @property
    def models(self) -> Registries:
        return self


@dataclass(frozen=True)
class Published:
    """A published certificate with everything that an audit of it reads."""

    signed: SignedCertificate
    publication: Publication
    store: BlockStore
    chain: Registries
    version_id: bytes

    @property
    def cid(self) -> str:
        return str(self.signed.cid)

    def anchored(self, signed: SignedCertificate) -> Published:
        """The same chain and store with ``signed`` stored and anchored instead."""
        self.store.add_bytes(signed.to_bytes())
        anchor = AnchoredCertificate(str(signed.cid), signed.content_hash, 1)
        chain = Registries({**self.chain.anchors, self.version_id: anchor}, dict(self.chain.published))
        return replace(self, signed=signed, chain=chain)


def publish(folder: Path, store: BlockStore) -> Published:
    """Publish a measured folder as version 1.0.0."""
    publication = Publication.prepare(folder, store, "1.0.0")
    version = ModelVersion(
        publication.commitment.weights_root,
        publication.commitment.program_root,
        publication.tokenizer_sha256,
        1000,
        publication.model.program.shape.layers,
        SemVer(1, 0, 0),
        publication.manifest_cid,
    )
    version_id = keccak(publication.commitment.weights_root)
    signed = publication.certificate(PUBLISHER.address, version_id).sign(PUBLISHER)
    chain = Registries({}, {version_id: (PUBLISHER.address, version)})
    return Published(signed, publication, store, chain, version_id).anchored(signed)
