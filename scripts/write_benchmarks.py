"""Write docs/benchmarks.md: what the benchmarks measured here, and what was noted elsewhere before.

Reads ``build/bench/*.json`` (``scripts/bench/record.py`` says of which machine, commit and day each is) and
``docs/measurements.jsonl``, a row for each noted measurement. It measures nothing: a figure that is in neither is
not on the page, and a benchmark without a record is "not measured here".

    python -m scripts.write_benchmarks [--note]     # --note adds what was measured here to docs/measurements.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scripts.bench.record import FOLDER, ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
NOTES = ROOT / "docs" / "measurements.jsonl"
Record = Mapping[str, Any]

HEAD = """\
# Benchmarks

`make benchmarks-page` writes this page. `make bench` writes the records that it reads, `build/bench/*.json`. Both
sides of a ratio are measured in one run, with two threads each. Gas does not depend on the machine.

| machine | processor |
|---|---|
| V | two cores of an AMD EPYC (Zen 5) with AVX-512 VNNI |
| Z | two cores of an AMD EPYC (Zen 4) with AVX-512 VNNI |
| X | two cores of an Intel Xeon (Sapphire Rapids) with AVX-512 VNNI and AMX |
| E | two cores of an Intel Xeon (Emerald Rapids) with AVX-512 VNNI |
| M | two cores of an AMD EPYC (Zen 3) with AVX2 alone |
| A | two cores of an AMD EPYC (Zen 1) with AVX2 alone: an exact 8-bit product costs as much there as a float one |
"""
BEFORE = """\
The oldest notes hold ratios without their baselines. There the baseline is computed from the ratio.
"""
COLUMNS = ("what", "this", "baseline", "ratio", "bar", "command", "machine", "commit", "date")
#: How the machines of HEAD call themselves; where others have the same name, with the only instructions they have.
MACHINES = {"Intel(R) Xeon(R) Processor": "X", "AMD EPYC, avx2": "M"}
#: Those of HEAD that are told by family and model.
GENERATIONS = {"AMD EPYC 25.17": "Z", "Intel(R) Xeon(R) Processor 6.207": "E"}


@dataclass(frozen=True)
class Row:
    """One measurement as it is shown; ``machine``, ``commit`` and ``date`` are those of its record."""

    what: str
    this: str = "not measured here"
    baseline: str = ""
    ratio: str = ""
    bar: str = ""
    command: str = ""
    machine: str = ""
    commit: str = ""
    date: str = ""


def number(value: float, digits: int = 4) -> str:
    """Four digits that count, thousands apart: 45.83, 0.8934, 3 967 778."""
    if value == int(value) or abs(value) >= 10**digits:
        return f"{round(value):,}".replace(",", " ")
    return f"{value:.{digits}g}"


def ratio_row(what: str, figures: Iterable[float], bar: str = "") -> Row:
    """A row whose ratio is the first figure by the second."""
    this, baseline = figures
    return Row(what, number(this), number(baseline), number(this / baseline, 3), bar)


def engine_rows(record: Record) -> Iterator[Row]:
    bars = {("decode", "float32"): "≥ 4", ("prefill", "float32"): "≥ 4"}
    bars |= {("decode", "bfloat16"): "≥ 2", ("prefill", "bfloat16"): "≥ 1.3"}
    for name, stacks in record["models"].items():
        for phase, stack in bars:
            if stack in stacks:
                speeds = (stacks[side][f"{phase}_tokens_per_second"] for side in ("integer", stack))
                yield ratio_row(f"{name}, {phase} against {stack}, tokens/s", speeds, bars[phase, stack])
    if "node_memory_ratio" in record:
        yield Row("memory of a node with half of the 1.1 B shape, by its shard", number(record["node_memory_ratio"], 3))


def held_engine_rows(record: Record) -> Iterator[Row]:
    bars = {"decode": "≥ 4", "prefill": "≥ 1.3"}
    for name, stacks in record["models"].items():
        for phase, bar in bars.items():
            speeds = (stacks[side][f"{phase}_tokens_per_second"] for side in ("integer", "float32"))
            yield ratio_row(f"{name}, both held to AVX2, {phase} against float32, tokens/s", speeds, bar)


def llama_cpp_rows(record: Record) -> Iterator[Row]:
    for phase, bar in record["bars"].items():
        speeds = (record[side][f"{phase}_tokens_per_second"] for side in ("integer", "llama_cpp"))
        yield ratio_row(f"llama-1.1b, {phase} against llama.cpp Q8_0, tokens/s", speeds, f"≥ {bar}")


def serving_rows(record: Record) -> Iterator[Row]:
    speeds = (record[f"{side}_tokens_per_second"] for side in ("nodes", "engine"))
    yield ratio_row("shipped model, two nodes against one engine, tokens/s", speeds, f"≥ {record['bar']}")


def client_rows(record: Record) -> Iterator[Row]:
    warm, fresh = (f"{1000 * record[f'{side}_first_message_seconds']:.1f}" for side in ("warm", "fresh"))
    yield Row("from asking to the first message, nodes known against found, ms", warm, fresh, f"{record['ratio']:.0f}")


def blocks_rows(record: Record) -> Iterator[Row]:
    bars = record["bars"]
    first, peak, rate = (record[name] for name in ("first_token_seconds", "peak_ratio", "bandwidth_ratio"))
    yield Row("second start of a shard, s to its first token", number(first, 2), bar=f"≤ {bars['first_token_seconds']}")
    yield Row("peak memory beyond imports, by the shard", number(peak, 3), bar=f"≤ {bars['peak_ratio']}")
    yield Row("a shard from disk, by the rate of plain reading", number(rate, 2), bar=f"≥ {bars['bandwidth_ratio']}")


def accuracy_rows(record: Record) -> Iterator[Row]:
    tokens = number(record["tokens"])
    this, baseline = (f"{record[f'perplexity_{side}']:.4f}" for side in ("integer", "float32"))
    increase = f"{100 * record['relative_increase']:+.3f} %"
    yield Row(f"perplexity over {tokens} tokens", this, baseline, increase, "≤ +0.5 %")
    yield Row("best token as in float32", f"{100 * record['top1_agreement']:.2f} %", bar="≥ 98 %")


def embeddings_rows(record: Record) -> Iterator[Row]:
    sentences = number(record["sentences"])
    agreement = f"{100 * record['nearest_agreement']:.1f} %"
    speeds = (record[f"sentences_per_second_{side}"] for side in ("integer", "float32"))
    yield Row(f"mean cosine with float32, {sentences} sentences", f"{record['mean_cosine']:.4f}", bar="≥ 0.999")
    yield Row("nearest neighbour as in float32", agreement, bar="≥ 97 %")
    yield ratio_row("all-MiniLM-L6-v2, sentences/s", speeds)


def commit_rows(record: Record) -> Iterator[Row]:
    for name, found in record["models"].items():
        bar = f"≤ {100 * record['bar']:.0f} %" if found["share"] == record["share"] else ""
        yield Row(f"commitments and signatures, share of serving {name}", f"{100 * found['share']:.2f} %", bar=bar)


def market_rows(record: Record) -> Iterator[Row]:
    what = f"settled gas per inference, {number(record['inferences'])} in a session"
    yield Row(what, number(record["gas_per_inference_1000"]), bar=f"≤ {record['bar']}")


def dispute_rows(record: Record) -> Iterator[Row]:
    for kind, game in record["games"].items():
        what = f"gas of a whole dispute at the 1.1 B shape, {kind}, {game['transactions']} transactions"
        yield Row(what, number(game["game_gas"]), bar=f"≤ {number(record['game_bar'])}")
    yield Row("gas of the dearest step", number(record["max_step_gas"]), bar=f"≤ {number(record['step_bar'])}")
    yield Row("calldata of the dearest dispute, bytes", number(record["calldata_bytes"]))


def trace_rows(record: Record) -> Iterator[Row]:
    largest = max(half["beside_weights_bytes"] for half in record["halves"].values())
    what = f"trace of {number(record['positions'])} positions, GiB beside the weights"
    yield Row(what, number(largest / 2**30, 3), bar=f"≤ {record['bar'] // 2**30}")


def audit_rows(record: Record) -> Iterator[Row]:
    seconds = record["audit_seconds"], record["generate_seconds"]
    yield ratio_row("audit of an answer against generating it, s", seconds, f"≤ {record['bar']}")


def incentives_rows(record: Record) -> Iterator[Row]:
    gain, loss = (record[f"worst_{name}_wei"] for name in ("liar_gain", "finder_loss"))
    yield Row("best gain of a coalition with a lie, ETH", f"{gain / 10**18:.3f}", bar="< 0")
    yield Row("worst loss of a finder that insists on cover, ETH", f"{loss / 10**18:.3f}", bar="≤ 0")


def fuzz_rows(record: Record) -> Iterator[Row]:
    programs = number(record["programs"])
    yield Row(f"honest nodes convicted, {programs} hostile programs", str(record["convicted_honest"]), bar="0")
    yield Row(f"crashes, {programs} hostile programs", str(record["crashes"]), bar="0")


def audits_rows(record: Record) -> Iterator[Row]:
    verdict, answers = record["verdict"], record["counts"]["answers"]
    yield Row(f"lies until the verdict, {answers} answers, audits at 10 %", str(verdict["lies_told_until_then"]))


def devices_rows(record: Record) -> Iterator[Row]:
    different = sum(found["different"] for found in record["families"].values())
    tensors = number(sum(found["tensors"] for found in record["families"].values()))
    yield Row(f"tensors that differ between {record['device']} and the CPU, of {tensors}", str(different), bar="0")


def real_model_rows(record: Record) -> Iterator[Row]:
    for name, found in record["texts"].items():
        sides = (f"{found[f'perplexity_{side}']:.4f}" for side in ("integer", "float32"))
        increase = f"{100 * found['relative_increase']:+.2f} %"
        yield Row(f"SmolLM2-135M-Instruct, perplexity of {name}", *sides, increase, "≤ +0.5 %")
        yield Row(f"SmolLM2-135M-Instruct, divergence on {name}, nats", number(found["kl"], 2), bar="≤ 0.01")
        agreement = f"{100 * found['top1']:.1f} %"
        yield Row(f"SmolLM2-135M-Instruct, best token on {name} as in float32", agreement, bar="≥ 97 %")
    for phase, figure in record["ratios"].items():
        yield Row(f"SmolLM2-135M-Instruct, times as fast: {phase.replace('_', ' ')}", number(figure, 3))
    yield Row("SmolLM2-135M-Instruct, import with its search, s", number(record["seconds"]))


def real_speed_rows(record: Record) -> Iterator[Row]:
    names = {"float32": "`transformers` float32", "bfloat16": "`transformers` bfloat16", "llama_cpp": "llama.cpp Q8_0"}
    for phase in ("decode", "prefill"):
        for side, name in names.items():
            speeds = (record[one][f"{phase}_tokens_per_second"] for one in ("integer", side))
            yield ratio_row(f"SmolLM2-135M-Instruct, {phase} against {name}, tokens/s", speeds)


def cli_rows(record: Record) -> Iterator[Row]:
    for command, found in record["commands"].items():
        bar = "≤ 0.3" if command.split()[-1] in ("--help", "--version") else "≤ 1.2"
        yield Row(f"`{command}`, s until its end", number(found["median_seconds"], 3), bar=bar)
    yield Row(
        "`nexus ask`, s until its first text", number(record["ask_first_token"]["median_seconds"], 3), bar="≤ 1.5"
    )


def gateway_rows(record: Record) -> Iterator[Row]:
    bars = record["bars"]
    yield Row(
        "gateway's own time of a request, ms",
        number(record["overhead_ms_median"]),
        bar=f"≤ {bars['overhead_ms_median']:g}",
    )
    yield Row("`/v1/models`, requests/s", number(record["models_per_second"]), bar=f"≥ {bars['models_per_second']}")
    speeds = (record[f"{name}_tokens_per_second"] for name in ("streams_64", "one_stream"))
    yield ratio_row("64 streams against one, tokens/s", speeds, f"≥ {bars['throughput_ratio_64']:g}")
    yield Row(
        "slowest of 64 streams, by their mean",
        number(record["slowest_over_mean"], 2),
        bar=f"≥ {bars['slowest_over_mean']}",
    )
    what = f"growth of the gateway's memory, last half of {record['memory_minutes']:g} minutes"
    yield Row(what, f"{100 * record['memory_growth']:.1f} %", bar=f"≤ {100 * bars['memory_growth']:g} %")
    speeds = (record[f"{name}_tokens_per_second"] for name in ("nodes", "engine"))
    yield ratio_row("chat model, two nodes against one engine, tokens/s", speeds, f"≥ {bars['two_nodes_ratio']}")


def judge_rows(record: Record) -> Iterator[Row]:
    claims = number(record["claims"])
    yield Row(f"claims that are *proved* and false, of {claims}", str(record["false_proved"]), bar="0")
    yield Row("decidable claims that the judge decides", f"{100 * record['recall']:.1f} %", bar="≥ 95 %")
    yield Row("a verdict, median, ms", number(record["median_ms"], 3), bar="≤ 50")


def distiller_rows(record: Record) -> Iterator[Row]:
    for name in ("colluding", "independent"):
        shares = (f"{100 * record[name][key]:.1f} %" for key in ("right_share", "majority_right_share"))
        what = f"right answers taken, two of four sources {name} liars, against the majority"
        yield Row(what, *shares, bar=f"≥ {100 * record['bar']:.0f} %")


def distill_rows(record: Record) -> Iterator[Row]:
    """The shares right after training stand against the share before."""
    before = f"{100 * record['accuracy_before']:.1f} %"
    low, high = (f"{100 * end:.1f}" for end in record["interval"])
    sides = {
        f"sums right after learning from judged teachers (95 %: {low} to {high})": record["accuracy_after"],
        "the same, a fifth of the answers poisoned, judged": record["poisoned_accuracy_after"],
        "the same, a fifth of the answers poisoned, nobody judges": record["unjudged_accuracy_after"],
    }
    for what, accuracy in sides.items():
        if accuracy is not None:  # a run that was not asked for
            yield Row(f"SmolLM2-135M-Instruct, {what}", f"{100 * accuracy:.1f} %", before)
    yield Row("the run with judged teachers, s", number(record["seconds"]), bar="≤ 3 600")


def memory_rows(record: Record) -> Iterator[Row]:
    bars, examples = record["bars"], number(record["examples"])
    yield Row(
        f"memory of {examples} examples, inserts/s",
        number(record["inserts_per_second"]),
        bar=f"≥ {number(bars['inserts_per_second'])}",
    )
    yield Row("duplicate check, 95th percentile, ms", number(record["duplicate_ms"]["p95"], 2), bar="≤ 1")
    yield Row("search, 95th percentile, ms", number(record["search_ms"]["p95"], 2), bar="≤ 20")


def web_rows(record: Record) -> Iterator[Row]:
    whats = {
        "lighthouse_performance": "the page, Lighthouse's mark for performance, the worst of its parts",
        "lighthouse_accessibility": "the page, Lighthouse's mark for accessibility, the worst of its parts",
        "axe_violations": "the page, violations that axe-core sees, in all parts and both themes",
        "script_gzip_bytes": "the page, all its scripts as they travel, bytes",
        "verify_64_tokens_s": "the page, verifying 64 tokens of the shipped model, its files to be fetched, s",
        "first_token_ms": "the page, from a token's coming to the screen, ms",
        "longest_frame_ms": "the page, the longest frame above 50 ms in a stream of 10 000 tokens, ms (0: none)",
    }
    for name, what in whats.items():
        least = name.startswith("lighthouse")
        yield Row(what, number(record[name]), bar=f"{'≥' if least else '≤'} {number(record['bars'][name])}")


#: Record, what makes it, and its rows.
BENCHMARKS: tuple[tuple[str, str, Callable[[Record], Iterable[Row]]], ...] = (
    ("engine", "make bench-engine", engine_rows),
    ("engine_avx2", "make bench-engine-avx2", held_engine_rows),
    ("llama_cpp", "make bench-llama-cpp", llama_cpp_rows),
    ("serving", "make bench-serving", serving_rows),
    ("client", "make bench-client", client_rows),
    ("blocks", "make bench-blocks", blocks_rows),
    ("accuracy", "make bench-accuracy", accuracy_rows),
    ("embeddings", "make bench-embeddings", embeddings_rows),
    ("commit", "make bench-commit", commit_rows),
    ("market", "make bench-market", market_rows),
    ("dispute", "make bench-dispute", dispute_rows),
    ("trace", "make bench-trace", trace_rows),
    ("audit", "make bench-audit", audit_rows),
    ("incentives", "make bench-incentives", incentives_rows),
    ("fuzz-programs", "make fuzz-programs", fuzz_rows),
    ("audits", "make show-audits", audits_rows),
    ("real_model", "make bench-real-model", real_model_rows),
    ("real_speed", "make bench-real-speed", real_speed_rows),
    ("cli", "make bench-cli", cli_rows),
    ("gateway", "make bench-gateway", gateway_rows),
    ("judge", "make bench-judge", judge_rows),
    ("distiller", "python -m scripts.bench.distiller", distiller_rows),
    ("distill", "make bench-distill", distill_rows),
    ("memory", "make bench-memory", memory_rows),
    ("web", "make bench-web", web_rows),
    ("devices", "python -m scripts.runs.compare_devices", devices_rows),
)


def measured_here(folder: Path) -> list[Row]:
    """The rows of every benchmark; where no record names its commit, one that says "not measured here"."""
    return [row for name, command, rows_of in BENCHMARKS for row in _rows(folder / f"{name}.json", command, rows_of)]


def _rows(path: Path, command: str, rows_of: Callable[[Record], Iterable[Row]]) -> list[Row]:
    record = json.loads(path.read_text()) if path.exists() else {}
    run = record.get("run")
    if run is None:
        return [Row(path.stem, command=command)]
    machine = _machine(run)
    return [
        replace(row, command=command, machine=machine, commit=run["commit"], date=run["date"])
        for row in rows_of(record)
    ]


def _machine(run: Record) -> str:
    """A letter of HEAD, or the processor's own name."""
    processor = str(run["processor"])
    known = GENERATIONS.get(f"{processor} {run.get('generation', '')}")
    known = known or MACHINES.get(f"{processor}, {' '.join(run.get('instructions', ()))}")
    return known or MACHINES.get(processor, processor)


def noted(path: Path) -> list[Row]:
    """The rows that were noted before."""
    return [Row(**json.loads(line)) for line in path.read_text().splitlines()]


def note(rows: Iterable[Row], path: Path) -> None:
    """Add rows with a commit that are not noted yet."""
    known = noted(path)
    fresh = [row for row in rows if row.commit and row not in known]
    path.write_text("".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in [*known, *fresh]))


def table(rows: Iterable[Row]) -> str:
    """Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(_cells(row) for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cells(row: Row) -> tuple[str, ...]:
    values = asdict(row) | {"command": f"`{row.command}`"}
    return tuple(values[column] for column in COLUMNS)


def page(here: Iterable[Row], before: Iterable[Row]) -> str:
    """The whole page."""
    return f"{HEAD}\n## Measured here\n\n{table(here)}\n## Noted before and elsewhere\n\n{BEFORE}\n{table(before)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--note", action="store_true", help="add what was measured here to docs/measurements.jsonl")
    here = measured_here(FOLDER)
    if parser.parse_args().note:
        note(here, NOTES)
    PAGE.write_text(page(here, [row for row in noted(NOTES) if row not in here]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
