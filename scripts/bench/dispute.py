"""Gas of every step at large widths, and of a whole game, on Anvil.

    python -m scripts.bench.dispute            # needs the contracts compiled (forge build)

Steps are transactions to ``StepVerifier``, so calldata is paid as in a game. Their numbers are noise:
gas depends on sizes. Writes build/bench/dispute.json: ``steps.<op>.<width>``, ``max_step_gas``,
``game_gas``, ``transactions``, ``calldata_bytes``, ``seconds`` (of the dearest game), and ``games.<op>``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from nexus_chain.chain.deployer import ArtefactCreator
from nexus_chain.chain.local import DEVELOPMENT_KEYS, LocalChain, anvil
from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.tensor import RowLayout
from nexus_chain.disputes import defender
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace import TracedSequence
from nexus_chain.disputes.trace_layout import TraceLayout, TraceTensor
from nexus_chain.disputes.witness_abi import ScorePart, convicts_call, convicts_scores_call
from nexus_chain.disputes.witnesses import PublishedModel, WitnessBuilder
from nexus_chain.program import SAMPLED, ModelShape, Program, Sampling
from nexus_chain.program.builder import ProgramBuilder
from nexus_chain.program.dtypes import DTYPE_BYTES
from nexus_chain.program.table_specs import EXP2_SPEC, LOG2_SPEC, PHI_SPEC
from nexus_chain.program.torch_dtypes import TORCH_DTYPES
from scripts.bench.dispute_game import measure_games
from scripts.bench.record import write_record

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "build" / "bench" / "dispute.json"
WIDTHS = (4_096, 14_336, 28_672)
CHUNK = 8_192  # columns of a 15-bit product, of the rows that feed it, and of a normalised group
VOCAB, HEAD, ROWS, KEYS = 256, 128, 8, 4_096
ROW_SCALE = "row_scale.0", "row_scale.1"
SHAPE = "llama-1.1b"  # of the whole games
STEP_BAR, GAME_BAR = 3_000_000, 10_000_000
GAS = 30_000_000


@dataclass
class Sheet(ProgramBuilder):
    """Collects the ops of a program that has one op of every kind at one width."""

    width: int = field(kw_only=True)

    def step(self, kind: str, name: str, inputs: tuple[str, ...], *weights: str, **params: int) -> str:
        """One op whose tensors follow from its parameters; the name of its first output."""
        return self.implied(kind, name, inputs, *weights, **params)[0]

    def program(self) -> Program:
        shape = ModelShape(1, self.width, self.width // HEAD, 8, HEAD, self.width, VOCAB, KEYS)
        made = Program(f"bench-{self.width}", shape, tuple(self.ops), tuple(self.weights.values()))
        made.validate()
        return made


def wide_program(width: int) -> Program:
    """Every kind that looks at one position, once (twice where 8 and 15 bits differ), at ``width``."""
    sheet, chunk = Sheet(width=width, context=KEYS), min(width, CHUNK)
    source = sheet.step("embed", "embed", ("tokens",), "embed.table", vocab=VOCAB, width=width, shift=2)
    largest = sheet.step("row_max", "row_max", (source,), start=0, stop=chunk)
    total = sheet.step("row_squares", "row_squares", (source, largest), start=0, stop=chunk)
    sheet.step("norm_scale", "norm_scale", (largest, total), epsilon=1000)
    sheet.step("row_scale", "row_scale", (largest,))
    for bits, columns in ((8, width), (15, chunk)):
        row = sheet.step("quantise", f"quantise{bits}", (source, largest), start=0, stop=columns, bits=bits)
        sheet.linear(f"linear{bits}", (row, *ROW_SCALE), (ROWS, columns), bits, bias=True)
    heads = width // HEAD
    sheet.step("rope_quantise", "rope_quantise", (source,), "tables.rope", heads=heads, head_dim=HEAD)
    sheet.step("value_quantise", "value_quantise", (source,), heads=heads, head_dim=HEAD)
    values = "value_quantise.0", "value_quantise.1"
    sheet.step("value_layout", "value_layout", values, heads=heads, head_dim=HEAD)
    sheet.step("silu_product", "silu_product", (source, source), EXP2_SPEC.name, width=width)
    sheet.step("position_embed", "position_embed", (source,), "position.table", width=width, shift=2)
    groups = -(-width // CHUNK)
    for name, count in (("normalise", groups), ("normalise_heads", heads)):
        sizes = {"groups": count, "size": width // count, "centred": 1, "epsilon": 1000, "bias": 1}
        sheet.step("normalise", name, (source,), f"{name}.gain", f"{name}.bias", **sizes)
    sheet.step("gelu", "gelu", (source,), PHI_SPEC.name, width=width)
    add_experts(sheet)
    add_head(sheet, source)
    return sheet.program()


def add_experts(sheet: Sheet) -> None:
    """A choice of two experts of eight, and the second one's product."""
    choice = {"experts": ROWS, "slots": 2}
    sheet.step("route", "route", ("linear8.output",), EXP2_SPEC.name, **choice)
    weights = [f"experts.{expert}.{part}" for expert in range(ROWS) for part in ("weight", "scale")]
    sizes = {"rows": ROWS, "columns": sheet.width, "bits": 8, "fraction": 16, "slot": 1, "combine": 1}
    inputs = "quantise8.0", *ROW_SCALE, "route.0", "route.1", "linear8.output"
    sheet.step("expert_linear", "expert_linear", inputs, *weights, **choice, **sizes)


def add_head(sheet: Sheet, source: str) -> None:
    """Logits and the sampled token."""
    sheet.rows, width = SAMPLED, sheet.width
    largest = sheet.step("row_max", "head_max", (source,), start=0, stop=ROWS)
    row = sheet.step("quantise", "head_row", (source, largest), start=0, stop=ROWS, bits=8)
    sheet.step("row_scale", "head_scale", (largest,))
    logits = sheet.linear("head", (row, "head_scale.0", "head_scale.1"), (width, ROWS), 8, bias=True)
    sheet.step("sample_blocks", "sample_blocks", (logits,), LOG2_SPEC.name, vocab=width, block=512)
    sheet.step("sample", "sample", ("sample_blocks.0", "sample_blocks.1"), blocks=-(-width // 512))


def long_program(width: int) -> Program:
    """The kinds that look at many positions: attention, and a column's mean, with what they read."""
    sheet, heads = Sheet(width=width, context=KEYS), width // HEAD
    source = sheet.step("embed", "embed", ("tokens",), "embed.table", vocab=VOCAB, width=width, shift=2)
    largest = sheet.step("row_max", "max", (source,), start=0, stop=8)
    row = sheet.step("quantise", "row", (source, largest), start=0, stop=8, bits=8)
    sheet.step("row_scale", "row_scale", (largest,))
    narrow = sheet.linear("narrow", (row, *ROW_SCALE), (HEAD, 8), 8, bias=True)
    sheet.step("rope_quantise", "q", (source,), "tables.rope", heads=heads, head_dim=HEAD)
    sheet.step("rope_quantise", "k", (narrow,), "tables.rope", heads=1, head_dim=HEAD)
    sheet.step("value_quantise", "v", (narrow,), heads=1, head_dim=HEAD)
    sheet.step("value_layout", "v_columns", ("v.0", "v.1"), heads=1, head_dim=HEAD)
    inputs = "q.0", "q.2", "q.3", "k.0", "k.2", "k.3", "v_columns.0", "v_columns.1"
    sizes = {"heads": heads, "kv_heads": 1, "head_dim": HEAD, "block": 1024, "window": 0, "scale": 66572}
    sheet.step("attention", "attention", inputs, EXP2_SPEC.name, **sizes)
    columns = sheet.step("row_layout", "row_layout", (narrow,), width=HEAD)
    sheet.step("prefix_mean", "prefix_mean", (columns,), width=HEAD)
    return sheet.program()


def noise(dtype: str, shape: tuple[int, ...]) -> Tensor:
    """Any bit pattern, few of them zero: zero bytes are cheaper."""
    span = torch.iinfo(TORCH_DTYPES[dtype])
    return torch.randint(span.min, span.max, shape, dtype=TORCH_DTYPES[dtype])


def builder_for(program: Program, positions: int) -> WitnessBuilder:
    """Witnesses over a trace of noise, all but the first position sampled."""
    layout = TraceLayout(program, 0, 1, positions, 1)
    tensors = [noise(spec.dtype, spec.shape) for spec in layout.tensors]
    sequence = TracedSequence(tensors[0], tensors[0][:1], Sampling(70_000, bytes(32)), b"\x55" * 32)
    weights = {spec.name: noise(spec.dtype, spec.shape) for spec in program.weights}
    trace = StoredTrace(layout, tensors, sequence)
    return WitnessBuilder(PublishedModel(program, weights), trace, trace.roots())


def calls_of(builder: WitnessBuilder, tensor: TraceTensor) -> dict[str, bytes]:
    """Step name -> calldata, for the last element of a tensor."""
    number, element = tensor.number, builder.trace.tensor(tensor.number).numel() - 1
    leaf, within = divmod(element, RowLayout.of(tensor.dtype, tensor.shape).leaf_bytes // DTYPE_BYTES[tensor.dtype])
    data = defender.leaf(builder.trace, number, leaf).data
    subject, claim = builder.subject(), builder.claim(number, leaf, data)
    if tensor.op is None or tensor.op.kind != "attention":
        return {
            tensor.op.name if tensor.op else tensor.name: convicts_call(
                subject, claim, builder.witness(number, leaf, data, within)
            )
        }
    row = builder.score_row(number, leaf, within)
    posted = row.record_bytes, row.score_bytes
    root = builder.score_root(number, leaf, within, posted)
    found = {}
    for part in ScorePart:
        at = {ScorePart.SCORE: len(row.scores) - 1, ScorePart.BLOCK: 0, ScorePart.SUM: 0}[part]
        witness = builder.score_witness((number, leaf, data, within), posted, (part, at))
        found[f"attention_{part.name.lower()}"] = convicts_scores_call(subject, claim, within, root, witness)
    return found


REPORTED = (
    "embed", "row_max", "row_squares", "norm_scale", "row_scale", "quantise8", "linear8", "quantise15", "linear15",
    "rope_quantise", "value_quantise", "value_layout", "silu_product", "sample_blocks", "sample", "position_embed",
    "normalise", "normalise_heads", "gelu", "route", "expert_linear", "row_layout", "prefix_mean",
)  # fmt: skip


@dataclass(frozen=True)
class Judge:
    """A step verifier on a chain."""

    chain: LocalChain
    address: str
    payer: str

    @classmethod
    def on(cls, chain: LocalChain) -> Judge:
        wallet = Wallet.from_hex(DEVELOPMENT_KEYS[0])
        address, _ = ArtefactCreator(chain.connection, wallet).create("StepVerifier")
        return cls(chain, address, wallet.address)

    def gas(self, call: bytes) -> int:
        """Gas of the step as a transaction of its own."""
        connection = self.chain.connection
        fields = {"from": self.payer, "to": self.address, "data": "0x" + call.hex(), "gas": hex(GAS)}
        sent = connection.request("eth_sendTransaction", fields)
        receipt = connection.web3.eth.wait_for_transaction_receipt(sent)
        if receipt["status"] != 1:
            raise RuntimeError(f"a step of {len(call)} bytes reverted")
        return int(receipt["gasUsed"])


def measure_steps(judge: Judge) -> dict[str, dict[str, int]]:
    """``steps.<op>.<width>``; the dearest output of ops that have several."""
    table: dict[str, dict[str, int]] = {}
    for width in WIDTHS:
        attention_rows = KEYS if width == WIDTHS[0] else 1_100  # more than one block; wider rows must fit memory
        for builder in (builder_for(wide_program(width), 2), builder_for(long_program(width), attention_rows)):
            for tensor in builder.layout.tensors[1:]:
                for name, call in calls_of(builder, tensor).items():
                    if name in REPORTED or name.startswith("attention"):
                        entry = table.setdefault(name, {})
                        entry[str(width)] = max(entry.get(str(width), 0), judge.gas(call))
    return table


def main() -> int:
    torch.manual_seed(0)
    with anvil() as chain:
        steps = measure_steps(Judge.on(chain))
    with anvil() as chain:
        games = measure_games(chain, SHAPE)
    dearest = max(max(by_width.values()) for by_width in steps.values())
    worst = max(games.values(), key=lambda game: game["game_gas"])
    totals = {key: worst[key] for key in ("game_gas", "transactions", "calldata_bytes", "seconds")}
    bars = {"step_bar": STEP_BAR, "game_bar": GAME_BAR}
    report = {"steps": steps, "max_step_gas": dearest, **totals, "games": games, "shape": SHAPE, **bars}
    print(json.dumps(write_record(REPORT, report), indent=2))
    if dearest > STEP_BAR:
        print(f"bench-dispute: a step costs {dearest} gas, over the bar of {STEP_BAR}", file=sys.stderr)
        return 1
    if worst["game_gas"] > GAME_BAR:
        print(f"bench-dispute: a game costs {worst['game_gas']} gas, over the bar of {GAME_BAR}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
