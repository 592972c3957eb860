"""A node's shard: loaded, verified, proven free of overflow, and the engine that runs it.

What was verified and proven before is remembered in the data folder, so that a restart waits for
neither; ``commitments/established_facts.py`` says what that trusts.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path

from nexus_chain import program as program_package
from nexus_chain.chain.contracts import Contracts
from nexus_chain.commitments.established_facts import EstablishedFacts
from nexus_chain.commitments.tensor_block import TensorBlock, load_tensor_block
from nexus_chain.disputes.caps import check_caps
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.streaming import StreamedEngine
from nexus_chain.program import Program
from node.daemon.configuration import NodeConfiguration
from node.daemon.data_folder import facts_path
from node.daemon.errors import ConfigurationError, RegistrationError
from node.daemon.served_model import ServedModel
from node.daemon.serving.scheduler import SegmentEngine


def load_shard(contracts: Contracts, configuration: NodeConfiguration) -> tuple[TensorBlock, ServedModel]:
    """The configured shard, verified against the version on the chain, and proven free of overflow."""
    version = contracts.models.version(configuration.version_id)
    policy = configuration.verification_policy
    facts = None if policy == "eager" else EstablishedFacts(facts_path(configuration.data))
    block = load_tensor_block(
        configuration.block_path, version.weights_root, version.program_root, lazy=policy == "lazy", facts=facts
    )
    shape = block.program.shape
    if shape.layers != version.layers:
        raise RegistrationError(
            f"the version is registered with {version.layers} layers and its program has {shape.layers}",
            advice="Do not serve this version: nobody could order it correctly.",
        )
    # A program that can leave 64 bits has no defined result, so serving it honestly could still be slashed.
    prove_once(block.program, version.program_root, facts)
    # Beyond the caps this node could not answer a dispute, and silence is convicted.
    check_caps(block.program, block.layer_start, block.layer_end)
    model = ServedModel(
        version=configuration.version_id,
        layers=shape.layers,
        layer_start=block.layer_start,
        layer_end=block.layer_end,
        width=shape.width,
        context=shape.context,
        vocab=shape.vocab,
        wei_per_token=configuration.price or 0,
        encoder=block.program.is_encoder,
        audit_wei_per_token=configuration.audit_price,
    )
    return block, model


def shard_engine(block: TensorBlock, configuration: NodeConfiguration) -> SegmentEngine:
    """The engine for the block: whole in memory, or from disk where the memory limit is smaller.

    Raises MemoryLimitError, ConfigurationError for a list of resident weights that cannot be read.
    """
    limit, threads = configuration.memory_limit_bytes or None, configuration.threads or None
    lazy = configuration.verification_policy == "lazy"
    if not lazy and (limit is None or limit >= block.nbytes):
        layers = block.layer_start, block.layer_end
        return Engine(block.program, block.weights, *layers, threads, configuration.engine_backend)
    # Layer by layer, so that a lazy block verifies a layer when it is first needed.
    return StreamedEngine(
        block.program,
        block.weights,
        block,
        limit or 2 * block.nbytes + block.margin,
        block.layer_start,
        block.layer_end,
        resident=resident_weights(block, configuration.resident),
        threads=threads,
        backend=configuration.engine_backend,
    )


def resident_weights(block: TensorBlock, listing: Path | None) -> list[str]:
    """Names of the block's weights in the file ``listing``: a name a line, or the beginning of names and a ``*``.

    Lines about layers that the block does not hold are skipped: one list serves all nodes of a model.
    """
    if listing is None:
        return []
    try:
        lines = listing.read_text().split()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{listing} cannot be read ({error})", advice="Give the file that `nexus model plan --resident` wrote."
        ) from error
    if unknown := [line for line in lines if not _matching(line, block.program.weight_specs)]:
        raise ConfigurationError(
            f"{listing} names {unknown[0]!r}, which is no weight of the model",
            advice="Name weights as `nexus model inspect --weights` lists them.",
        )
    return sorted({name for line in lines for name in _matching(line, block.weights)})


def _matching(line: str, names: Iterable[str]) -> list[str]:
    if line.endswith("*"):
        return [name for name in names if name.startswith(line[:-1])]
    return [name for name in names if name == line]


def prove_once(program: Program, root: bytes, facts: EstablishedFacts | None) -> None:
    """Prove that nothing overflows in the program with ``root``, unless this very code has done so before.

    Raises OverflowProofError.
    """
    subject, fact = f"no overflow in program {root.hex()}", {"prover": _prover()}
    if facts is not None and facts.known(subject, fact):
        return
    from nexus_chain.program.overflow import prove_no_overflow  # Z3 takes a while to import

    prove_no_overflow(program)
    if facts is not None:
        facts.establish(subject, fact)


@cache
def _prover() -> str:
    """Changes with the code that a proof depends on."""
    total = sha256(importlib.metadata.version("z3-solver").encode())
    for source in sorted(Path(program_package.__path__[0]).glob("*.py")):
        total.update(source.read_bytes())
    return total.hexdigest()
