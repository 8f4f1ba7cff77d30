"""Diffusion policy on one page: data, policy, loop, average, save, act. No Trainer, but its numbers.

python examples/train_minimal.py                            10,000 steps, then ten episodes
python examples/train_minimal.py --steps 20 --episodes 0    look whether it runs

`ddpm-edu train` does the same and more: it stops and goes on, validates, logs, shares work among processes.
What it computes in each step is here, line by line; tests/examples holds the two loss curves equal
(a transformer's with the plain forward pass: the Trainer's faster one draws dropout's masks otherwise).
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel

from ddpm_edu import Demonstrations, Windows, make_env, preset, shipped_demonstrations
from ddpm_edu.factory import build_policy
from ddpm_edu.training.checkpoint import Checkpoint, write_policy


def train(config, path=None, progress=print):
    """A policy and the average of its weights, and the loss of every step."""
    settings = config.training
    torch.manual_seed(settings.seed)  # the first weights, and what a network drops out
    policy = build_policy(config.policy)

    # ---- data: every window of T actions, with the To observations that come before them
    path = path or shipped_demonstrations(config.policy.task, config.policy.observation)
    demonstrations = Demonstrations.read(
        path,
        config.policy.task,
        config.policy.observation,
        filter_key="train",  # nine tenths; the others are for validation
        max_demonstrations=config.data.max_demonstrations,
    )
    policy.normalizer.fit(demonstrations)  # to [-1, 1], where the noise is as large as the signal
    windows = Windows(
        demonstrations,
        policy.horizon,
        policy.n_obs_steps,
        policy.n_action_steps,
        obs_steps=policy.conditioning.training_obs_steps,
    )

    # ---- AdamW, a learning rate that warms up and then follows half a cosine, and the average
    optimizer = torch.optim.AdamW(
        policy.denoiser.optimizer_groups(settings.weight_decay)
        if hasattr(policy.denoiser, "optimizer_groups")  # a transformer's biases and norms do not decay
        else policy.denoiser.parameters(),
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )

    def rate(step):
        if step < settings.warmup_steps:
            return (step + 1) / (settings.warmup_steps + 1)
        progress = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1, progress)))

    learning_rate = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)

    def decay(average, now, n):  # early it follows the weights, late it averages over thousands of steps
        keep = min(settings.ema_max_decay, 1 - (1 + int(n)) ** -settings.ema_power)
        return keep * average + (1 - keep) * now

    ema = AveragedModel(policy, avg_fn=decay)

    # ---- the loop
    generator = torch.Generator().manual_seed(settings.seed)
    shape = policy.trajectory_shape(settings.batch_size)  # (B, T, D)
    policy.train()
    losses = []
    batches = windows.batches(settings.batch_size, settings.seed)
    for step in range(settings.steps):
        noise, timesteps = policy.process.draw(shape, generator)  # (B, T, D), (B,)
        loss = policy.compute_loss(windows.batch(next(batches)), noise=noise, timesteps=timesteps)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        learning_rate.step()
        ema.update_parameters(policy)
        losses.append(loss.item())
        if progress and (step + 1) % 100 == 0:
            progress(f"step {step + 1:,}: loss {sum(losses[-100:]) / 100:.4f}")
    return policy, ema.module, losses


def save(folder, config, policy, average):
    """A checkpoint for `load_policy` and `ddpm-edu rollout`."""
    step = config.training.steps
    made_by = {"made by": "examples/train_minimal.py"}
    write_policy(folder, Checkpoint(step, config, policy.state_dict(), average.state_dict(), None, made_by))


def act(policy, seed, max_steps=400):
    """One episode in the simulator: see To, decide on T, execute Ta, look again."""
    env = make_env(policy.config.task, policy.config.observation, max_steps=max_steps)
    observation, info = env.reset(seed=seed)
    history = [observation] * policy.n_obs_steps
    noise = torch.Generator().manual_seed(seed)
    while True:
        recent = history[-policy.n_obs_steps :]
        obs = {
            key: torch.stack([torch.from_numpy(seen[key]) for seen in recent])[None] for key in observation
        }
        actions = policy.predict_action(obs, generator=noise)["action"][0]  # (Ta, Da)
        for action in actions.numpy():
            observation, _, terminated, truncated, info = env.step(action)
            history.append(observation)
            if terminated or truncated:
                env.close()
                return info["success"]


def main():
    """Train, save, act."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="can", help="can or square")
    parser.add_argument("--denoiser", default="unet", help="unet or transformer")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("runs/minimal/checkpoints"))
    arguments = parser.parse_args()

    config = preset(arguments.task, arguments.denoiser, steps=arguments.steps)
    policy, average, losses = train(config)
    folder = arguments.out / f"step_{arguments.steps:08d}"
    save(folder, config, policy, average)
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}; wrote {folder}")
    successes = [act(average, seed=200_000 + episode) for episode in range(arguments.episodes)]
    print(f"{sum(successes)} of {len(successes)} episodes succeeded")


if __name__ == "__main__":
    main()
