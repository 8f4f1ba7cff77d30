"""What does averaging cost a policy that acts? Success in the simulator, from the same starts.

    python benchmarks/averaging.py [--episodes 50] [--samples 16] [--steps 3000]

Three ways to decide from the same demonstrations of Can: one sample of the shipped diffusion policy, the mean
of several of its samples, and a plain network that was trained with the mean squared error. The result,
data/measurements/averaging.json, is what notebook 03 reads. What is already in the file is not played again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddpm_edu.cpu import accelerate_sampling
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.windows import Windows
from ddpm_edu.files import write_atomically
from ddpm_edu.paths import shipped_demonstrations, shipped_policy
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.simulation.intervals import wilson_interval
from ddpm_edu.simulation.rollout import rollout
from ddpm_edu.training.checkpoint import load_policy

RESULT = Path(__file__).resolve().parents[1] / "data" / "measurements" / "averaging.json"
FIRST_SEED = 200_000
"""No demonstration has such a seed."""


class MeanOfSamples:
    """Decides by the mean of several samples of a policy; for the rest it is that policy."""

    def __init__(self, policy: DiffusionPolicy, samples: int) -> None:
        self.policy, self.samples = policy, samples

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)

    def predict_action(
        self, obs: Mapping[str, Tensor], generator: list[torch.Generator]
    ) -> dict[str, Tensor]:
        """The mean of the samples: {"action": (B, Ta, Da)}."""
        n = self.samples
        repeated = {key: value.repeat_interleave(n, dim=0) for key, value in obs.items()}  # (B * n, To, ...)
        own = []  # each sample's noise follows from its episode's stream alone
        for episode in generator:
            for seed in torch.randint(2**62, (n,), generator=episode).tolist():
                own.append(torch.Generator().manual_seed(seed))
        action = self.policy.predict_action(repeated, generator=own)["action"]  # (B * n, Ta, Da)
        return {"action": action.unflatten(0, (-1, n)).mean(dim=1)}  # (B, Ta, Da)


class Regression:
    """A network from the same observations to the same chunk of actions, trained with the squared error."""

    def __init__(self, policy: DiffusionPolicy, steps: int, seed: int = 0) -> None:
        self.policy = policy
        demonstrations = Demonstrations.read(shipped_demonstrations("can"), "can", filter_key="train")
        windows = Windows(demonstrations, policy.horizon, policy.n_obs_steps, policy.n_action_steps)
        batch = windows.batch(torch.arange(len(windows)))
        inputs = self._inputs(batch["obs"])  # (W, To * Do)
        targets = policy.normalizer["action"].normalize(batch["action"]).flatten(1)  # (W, T * Da)

        torch.manual_seed(seed)
        self.network = nn.Sequential(
            nn.Linear(inputs.shape[1], 256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Linear(256, targets.shape[1]),
        )
        optimizer = torch.optim.Adam(self.network.parameters(), 1e-3)
        for _ in range(steps):
            chosen = torch.randint(len(inputs), (256,))
            loss = (self.network(inputs[chosen]) - targets[chosen]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)

    def _inputs(self, obs: Mapping[str, Tensor]) -> Tensor:
        normalized = self.policy.normalizer.normalize(obs)
        return torch.cat([normalized[key].flatten(1) for key in sorted(normalized)], dim=1)  # (B, To * Do)

    @torch.no_grad()
    def predict_action(self, obs: Mapping[str, Tensor], generator: Any = None) -> dict[str, Tensor]:
        """The network's answer: {"action": (B, Ta, Da)}."""
        nactions = self.network(self._inputs(obs)).unflatten(1, (-1, self.policy.action_dim))  # (B, T, Da)
        action = self.policy.normalizer["action"].unnormalize(nactions)
        start = self.policy.n_obs_steps - 1
        return {"action": action[:, start : start + self.policy.n_action_steps]}  # (B, Ta, Da)


def main() -> int:
    """Plays what is missing and writes the file after each policy."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    policy = load_policy(shipped_policy("can_unet")).eval()
    accelerate_sampling(policy)
    result = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    if (result.get("episodes"), result.get("samples")) != (arguments.episodes, arguments.samples):
        result = {
            "command": "python " + " ".join(sys.argv),
            "policy": "can_unet",
            "episodes": arguments.episodes,
            "samples": arguments.samples,
            "regression_steps": arguments.steps,
            "first_seed": FIRST_SEED,
            "noise_seed": 0,
            "machine": f"{platform.machine()}, one thread, torch {torch.__version__}",
            "date": datetime.date.today().isoformat(),
            "ways": {},
        }
    ways = {
        "one sample": lambda: policy,
        "mean of samples": lambda: MeanOfSamples(policy, arguments.samples),
        "regression": lambda: Regression(policy, arguments.steps),
    }
    for name, make in ways.items():
        if name in result["ways"]:
            continue
        played = rollout(make(), "can", arguments.episodes, first_seed=FIRST_SEED, workers=arguments.workers)
        successes = sum(episode.success for episode in played.episodes)
        result["ways"][name] = {
            "successes": successes,
            "interval_95": [round(bound, 4) for bound in wilson_interval(successes, arguments.episodes)],
            "median_length": statistics.median(episode.length for episode in played.episodes),
            "failed_seeds": [episode.seed for episode in played.episodes if not episode.success],
        }
        print(name, result["ways"][name], flush=True)
        with write_atomically(RESULT) as file:
            file.write(json.dumps(result, indent=1).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
