"""Can UNet, told the hand's quaternion as it is and with its sign turned over: the same twenty starts.

python benchmarks/quaternion_sign.py
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ddpm_edu.paths import shipped_policy
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.simulation.rollout import rollout
from ddpm_edu.training.checkpoint import load_policy

KEY = "robot0_eef_quat"


def told(policy: DiffusionPolicy, sign: int) -> DiffusionPolicy:
    """The policy, told `sign` times the hand's quaternion."""
    decide = policy.predict_action

    def decide_as_told(obs: dict[str, Tensor], **settings: Any) -> dict[str, Tensor]:
        return decide({**obs, KEY: sign * obs[KEY]}, **settings)

    policy.predict_action = decide_as_told  # type: ignore[method-assign]
    return policy


def main() -> None:
    for sign in (1, -1):
        policy = load_policy(shipped_policy("can_unet"))
        episodes = rollout(told(policy, sign), "can", 20, first_seed=200_000, progress=False).episodes
        print(f"{sign:+d} q: {sum(episode.success for episode in episodes)} of {len(episodes)}")


if __name__ == "__main__":
    main()
