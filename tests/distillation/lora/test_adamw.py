"""The optimiser is AdamW: torch's own gives the same but for rounding."""

from __future__ import annotations

import torch

from nexus_chain.distillation.lora.adamw import RepeatableAdamW


def gradients(weight: torch.Tensor, step: int) -> torch.Tensor:
    return torch.sin(weight.detach() * 3 + step)


def test_steps_are_those_of_torch() -> None:
    weight = torch.linspace(-1, 1, 50).requires_grad_()
    other = weight.detach().clone().requires_grad_()
    own, theirs = RepeatableAdamW([weight]), torch.optim.AdamW([other], weight_decay=0.0, foreach=False)
    for step in range(20):
        weight.grad, other.grad = gradients(weight, step), gradients(other, step)
        own.clip(1.0)
        torch.nn.utils.clip_grad_norm_([other], 1.0)
        theirs.param_groups[0]["lr"] = rate = 0.01 * (step + 1)
        own.step(rate)
        theirs.step()
    torch.testing.assert_close(weight, other, rtol=1e-4, atol=1e-5)


def test_going_on_from_a_state_changes_no_bit() -> None:
    def run(weight: torch.Tensor, optimiser: RepeatableAdamW, first: int, last: int) -> None:
        for step in range(first, last):
            weight.grad = gradients(weight, step)
            optimiser.step(0.1)

    whole = torch.ones(9).requires_grad_()
    run(whole, RepeatableAdamW([whole]), 0, 6)
    half = torch.ones(9).requires_grad_()
    before = RepeatableAdamW([half])
    run(half, before, 0, 3)
    after = RepeatableAdamW([half])
    after.restore(before.state())
    run(half, after, 3, 6)
    assert torch.equal(whole, half)


def test_no_gradient_no_step() -> None:
    weight = torch.ones(3).requires_grad_()
    optimiser = RepeatableAdamW([weight])
    optimiser.step(0.1)
    optimiser.clip(0.1)
    assert weight.tolist() == [1, 1, 1]
