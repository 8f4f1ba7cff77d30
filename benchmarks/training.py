"""One optimiser step on low-dim observations: ours, against plain modules, AdamW and moving average.

    python benchmarks/training.py [--threads 2] [--batch-size 64] [--repeats 5]

Both start from the same weights and see the same noise; their losses must agree to 1e-5. A step is forward,
backward, AdamW, and the average of the weights. Exits 1 where the UNet of the published size is less than
1.7 times as fast.
"""

from __future__ import annotations

import argparse
import copy
import sys

import torch
from interleaved import header, measure, report
from plain import plain_average, plain_denoiser, plain_loss

from ddpm_edu.cpu import accelerate_training
from ddpm_edu.factory import build_policy
from ddpm_edu.presets import preset as make_preset
from ddpm_edu.training.ema import make_ema
from ddpm_edu.training.optimizer import make_optimizer

WANTED = {("unet", "paper"): 1.7}
"""Issue 3."""


def compare(denoiser: str, preset: str, arguments: argparse.Namespace) -> float:
    """One line of the table; returns the ratio."""
    torch.manual_seed(0)
    config = make_preset("can", denoiser, name=preset)
    training, B = config.training, arguments.batch_size or config.training.batch_size
    policy = build_policy(config.policy).train()
    plain = plain_denoiser(policy.denoiser)
    accelerate_training(policy)

    features = torch.randn(B, policy.n_obs_steps, 23)  # (B, To, Do)
    action = torch.rand(B, policy.horizon, policy.action_dim) * 2 - 1
    inputs = policy.conditioning.for_training(features, action).denoiser_inputs
    noise, timesteps = torch.randn_like(action), torch.randint(0, 100, (B,))
    scheduler = policy.noise_scheduler

    def our_loss() -> torch.Tensor:
        prediction = policy.denoiser(scheduler.add_noise(action, noise, timesteps), timesteps, **inputs)
        return (prediction - noise).square().mean()

    optimizer, average = make_optimizer(policy, training), make_ema(policy, training)
    groups = [{"params": list(plain.parameters()), "weight_decay": training.weight_decay}]
    plain_optimizer = torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas)
    update = plain_average(copy.deepcopy(plain), plain)

    def run_ours() -> None:
        our_loss().backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(policy)

    def run_plain() -> None:
        plain_loss(plain, scheduler, action, noise, timesteps, **inputs).backward()
        plain_optimizer.step()
        plain_optimizer.zero_grad()
        update(0.999)

    policy.eval(), plain.eval()  # dropout would draw different masks
    expected = plain_loss(plain, scheduler, action, noise, timesteps, **inputs)
    torch.testing.assert_close(our_loss(), expected, rtol=1e-5, atol=0)
    policy.train(), plain.train()
    seconds = measure({"plain": run_plain, "ours": run_ours}, arguments.repeats)
    return report(f"{denoiser}, {preset}, batch {B}", seconds)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=None, help="default: the preset's")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--presets", nargs="+", default=["laptop", "paper"])
    parser.add_argument("--denoisers", nargs="+", default=["unet", "transformer"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    header(arguments.repeats)
    missed = False
    for denoiser in arguments.denoisers:
        for preset in arguments.presets:
            ratio, wanted = compare(denoiser, preset, arguments), WANTED.get((denoiser, preset), 0)
            if ratio < wanted:
                print(f"missed: {denoiser}, {preset}: {ratio:.2f}x, wanted {wanted}x", file=sys.stderr)
                missed = True
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
