"""The training itself: AdamW on the adapter's tensors, deterministic, and able to go on from a checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from nexus_chain.distillation.lora.adamw import RepeatableAdamW
from nexus_chain.distillation.lora.chat_examples import EncodedExample, batches_of_epoch
from nexus_chain.distillation.lora.config import TrainingConfig
from nexus_chain.distillation.lora.errors import TrainingDataError
from nexus_chain.distillation.lora.metrics import TrainingMetrics
from nexus_chain.distillation.lora.peers import Peers
from nexus_chain.distillation.lora.shared_prefix import answer_logits
from nexus_chain.distillation.lora.training_state import TrainingState

_LARGEST_NORM = 1.0  # of all gradients together
_MEASURED_AT_ONCE = 16


@dataclass(frozen=True)
class TrainingStep:
    """After a step of the optimiser: how many are done of ``steps``, and the loss of its batch in nats per token."""

    done: int
    steps: int
    loss: float


def fix_arithmetic(threads: int) -> None:
    """Make this process compute the same bits each time; ``threads`` of it."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # its kernels depend on the processor


@dataclass
class TrainingLoop:
    """Trains ``model`` (inside PEFT) on ``examples`` and measures it on ``held_out`` after each epoch.

    ``state_file``: where checkpoints go, and where an earlier process may have left one.
    """

    model: Any
    config: TrainingConfig
    identity: str
    examples: Sequence[EncodedExample]
    held_out: Sequence[EncodedExample]
    state_file: Path
    peers: Peers
    on_step: Callable[[TrainingStep], None] = lambda _: None
    on_epoch: Callable[[TrainingMetrics], None] = lambda _: None
    metrics: list[TrainingMetrics] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._inner = self.model.get_base_model()
        self._named = sorted((n, p) for n, p in self.model.named_parameters() if p.requires_grad)
        self._weights = [weight for _, weight in self._named]
        self._optimiser = RepeatableAdamW(self._weights)
        self._per_step = self.config.batch_size * self.config.gradient_accumulation
        self.steps_per_epoch = math.ceil(len(self.examples) / self._per_step)
        self.steps = self.steps_per_epoch * self.config.num_epochs

    def run(self) -> None:
        """Train to the end, from the checkpoint if there is one. Raises OSError and TrainingDataError."""
        state = TrainingState.load(self.state_file, self.identity)
        epoch, step, self._loss_sum, self._loss_tokens = 0, 0, 0.0, 0
        if state is not None:
            epoch, step, self._loss_sum, self._loss_tokens = state.epoch, state.step, state.loss_sum, state.loss_tokens
            self._restore(state)
        for number in range(epoch, self.config.num_epochs):
            self._epoch = number
            self._run_epoch(step)
            step = 0

    def _run_epoch(self, first: int) -> None:
        lengths = [one.length for one in self.examples]
        batches = batches_of_epoch(lengths, self._per_step, self.config.seed, self._epoch)
        self.model.train()
        for step in range(first, len(batches)):
            loss = self._step([self.examples[number] for number in batches[step]], step)
            if (step + 1) % self.config.checkpoint_steps == 0:
                self._save(self._epoch, step + 1)
            self.on_step(TrainingStep(self._epoch * self.steps_per_epoch + step + 1, self.steps, loss))
        self._measure()
        self._loss_sum, self._loss_tokens = 0.0, 0
        self._save(self._epoch + 1, 0)
        self.on_epoch(self.metrics[-1])

    def _step(self, batch: Sequence[EncodedExample], step: int) -> float:
        """One step of the optimiser; returns the batch's loss."""
        tokens = sum(len(one.answer) for one in batch)
        total = torch.zeros((), dtype=torch.float64)
        for at in range(0, len(batch), self.config.batch_size):
            if own := self.peers.share(batch[at : at + self.config.batch_size]):
                logits, labels, _ = answer_logits(self._inner, own)
                loss = cross_entropy(logits, labels, reduction="sum")
                (loss / tokens).backward()  # type: ignore[no-untyped-call]
                total += loss.detach()
        for weight in self._weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        self.peers.add_up([total, *(weight.grad for weight in self._weights if weight.grad is not None)])
        if not math.isfinite(total.item()):
            raise TrainingDataError(
                "the loss is no number any more", advice="Lower learning_rate, and look at the examples."
            )
        self._optimiser.clip(_LARGEST_NORM)
        self._optimiser.step(self.config.learning_rate_at(self._epoch * self.steps_per_epoch + step, self.steps))
        self._optimiser.forget_gradients()
        self._loss_sum += total.item()
        self._loss_tokens += tokens
        return total.item() / tokens

    def _measure(self) -> None:
        accuracy, perplexity = measure_answers(self._inner, self.peers.share(self.held_out), self.peers)
        self.model.train()
        mean = self._loss_sum / self._loss_tokens
        self.metrics.append(TrainingMetrics(self._epoch + 1, mean, accuracy, perplexity, time.time()))

    def _save(self, epoch: int, step: int) -> None:
        random = self.peers.random_states()
        if self.peers.leads:
            TrainingState(
                self.identity,
                epoch,
                step,
                self._loss_sum,
                self._loss_tokens,
                {name: weight.detach() for name, weight in self._named},
                self._optimiser.state(),
                random,
                tuple(self.metrics),
            ).save(self.state_file)

    @torch.no_grad()
    def _restore(self, state: TrainingState) -> None:
        for name, weight in self._named:
            weight.copy_(state.adapter[name])
        self._optimiser.restore(state.optimiser)
        torch.set_rng_state(state.random[self.peers.rank])
        self.metrics[:] = state.metrics


@torch.no_grad()
def measure_answers(model: Any, held_out: Sequence[EncodedExample], peers: Peers) -> tuple[float, float]:
    """Share of the answers whose every token is the likeliest (what greedy decoding gives), and their perplexity.

    ``held_out``: this process's share.
    """
    model.eval()
    sums = torch.zeros(4, dtype=torch.float64)  # right answers, answers, nats, tokens
    for at in range(0, len(held_out), _MEASURED_AT_ONCE):
        batch = held_out[at : at + _MEASURED_AT_ONCE]
        logits, labels, example = answer_logits(model, batch)
        missed = torch.bincount(example[logits.argmax(dim=1) != labels], minlength=len(batch))
        nats = cross_entropy(logits, labels, reduction="sum").double()
        sums += torch.stack([(missed == 0).sum().double(), torch.tensor(len(batch)).double(), nats, _count(labels)])
    peers.add_up([sums])
    right, answers, nats_in_all, tokens = sums.tolist()
    return right / answers, math.exp(min(nats_in_all / tokens, 700.0))


def _count(labels: Tensor) -> Tensor:
    return torch.tensor(float(len(labels)), dtype=torch.float64)
