"""Letting a state policy practise on what its eyes tell, before it acts on it.

A state policy was told the truth. What eyes tell is a millimetre off, knows no turn of a round can, and gives
a quaternion another sign. So demonstrations are written down as the eyes tell them, and an ordinary training
goes on with them from the weights that the policy has; the trained denoiser and the eyes are one policy then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddpm_edu.config import Config
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.hdf5 import open_hdf5
from ddpm_edu.data.made_from import made_from, refuse_another
from ddpm_edu.data.windows import Windows
from ddpm_edu.data.writer import Demonstration, DemonstrationWriter
from ddpm_edu.errors import ConfigError
from ddpm_edu.factory import build_policy
from ddpm_edu.files import only_writer, sha256, write_atomically
from ddpm_edu.observation.object_pose import LENGTH, ObjectPoseEncoder, pose_in_hand
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.settings import override
from ddpm_edu.training.checkpoint import load_policy, read_checkpoint
from ddpm_edu.training.log import read_log
from ddpm_edu.training.pose import seeing_config, seeing_policy
from ddpm_edu.training.trainer import Trainer

TOLD = "told"
"""Attribute of the file of what eyes tell: what it was made from; see `ddpm_edu.data.made_from`."""
PLACE_ERROR, TURN_ERROR = 0.0015, 0.02
"""Standard deviations, metres and radians, of the errors that stand for the eyes' without pictures."""


def state_view(policy: DiffusionPolicy) -> DiffusionPolicy:
    """The state policy inside a policy that sees: the same denoiser, told what the encoder would tell."""
    config = override(policy.config, observation="low_dim", vision__tells="features")
    inside = build_policy(config)
    inside.denoiser.load_state_dict(policy.denoiser.state_dict())
    own, theirs = inside.normalizer.state_dict(), policy.normalizer.state_dict()
    own |= {name: value for name, value in theirs.items() if name in own}
    centre, scale = policy.obs_encoder.units[:, :14]
    inside.normalizer.load_state_dict(own)
    inside.normalizer["object"].center.copy_(centre)
    inside.normalizer["object"].scale.copy_(scale)
    return inside


def write_down(
    policy: DiffusionPolicy,
    eyes: Mapping[str, str],
    pictures: str | Path,
    states: Sequence[str | Path],
    out: Path,
    seed: int = 0,
    acting: Mapping[str, str] | None = None,
) -> None:
    """Demonstrations whose `object` entry is what a policy's eyes tell, as a robomimic file of states.

    A file that is there already, made from the same things, is left as it is.

    Args:
        policy: one that sees.
        eyes: which one, as `ddpm_edu.training.checkpoint.origin` tells.
        pictures: demonstrations with both cameras; their masks are kept.
        states: further demonstrations without pictures, to train on: what eyes would tell is the truth with
            errors of the usual size, in the eyes' own convention.
        out: the file to make.
        seed: of the errors.
        acting: the policy of state that is to practise, if it is not the one that had the eyes first.

    Raises:
        ConfigError: if the file that is there was made from other things.
        BusyError: if another process is making it.
    """
    wanted = {
        "eyes": eyes["sha256"],
        "path": sha256(pictures),
        "states": [sha256(path) for path in states],
        "seed": seed,
        "policy": acting["sha256"] if acting else None,
    }
    with only_writer(out):
        if out.exists():
            refuse_another(out, made_from(out, TOLD), wanted)
        else:
            _write_down(policy, pictures, states, out, seed, {TOLD: json.dumps(wanted)})


@torch.no_grad()
def _write_down(
    policy: DiffusionPolicy,
    pictures: str | Path,
    states: Sequence[str | Path],
    out: Path,
    seed: int,
    attributes: dict[str, str],
) -> None:
    task, encoder = policy.config.task, policy.obs_encoder.eval()
    generator = torch.Generator().manual_seed(seed)
    masks: dict[str, list[str]] = {}
    with open_hdf5(pictures, "make it with: ddpm-edu data render") as file:
        env_args = file["data"].attrs["env_args"]
    with DemonstrationWriter(out, json.loads(env_args), attributes=attributes, masks=masks) as writer:
        number = 0
        for path, mask in [(pictures, "train"), (pictures, "valid"), *((path, "train") for path in states)]:
            seen = path == pictures
            data = Demonstrations.read(path, task, "image" if seen else "low_dim", filter_key=mask)
            begin = 0
            for end in data.episode_ends.tolist():
                rows = slice(begin, end)
                obs = {key: torch.from_numpy(value[rows]) for key, value in data.obs.items()}
                told = _seen(policy, obs) if seen else _imagined(encoder, policy, obs, generator)
                low_dim = {key: value.numpy() for key, value in obs.items() if value.ndim == 2}
                name = f"demo_{number}"
                actions = data.action[rows].astype(np.float64)
                low_dim["object"] = told.numpy()
                writer.add(
                    Demonstration(
                        low_dim, actions, np.zeros((end - begin, 1)), np.zeros(end - begin), "", {}
                    ),
                    name,
                )
                masks.setdefault(mask, []).append(name)
                begin, number = end, number + 1


def _seen(policy: DiffusionPolicy, obs: dict[str, Tensor]) -> Tensor:
    normalized = policy.normalizer.normalize(obs)
    encoder: ObjectPoseEncoder = policy.obs_encoder
    return encoder.object(encoder.estimate(normalized), normalized)  # (N, 14)


def _imagined(
    encoder: ObjectPoseEncoder, policy: DiffusionPolicy, obs: dict[str, Tensor], generator: torch.Generator
) -> Tensor:
    estimate = pose_in_hand(obs["object"])  # (N, 9)
    # One error for a whole demonstration and one for each moment: eyes err alike on pictures that are alike.
    for shape in ((1, 9), estimate.shape):
        noise = torch.randn(shape, generator=generator)
        size = torch.tensor([PLACE_ERROR / LENGTH] * 3 + [TURN_ERROR] * 6)
        estimate = estimate + noise * size / 2**0.5
    hand = {key: policy.normalizer[key].normalize(value) for key, value in obs.items() if key != "object"}
    return encoder.object(estimate, hand)  # (N, 14)


def joined(config: Config, eyes: DiffusionPolicy, practised: DiffusionPolicy) -> DiffusionPolicy:
    """The policy that sees with the eyes of one and acts with the denoiser of the other, in its units."""
    policy = seeing_policy(config, practised)
    units = policy.obs_encoder.state_dict()["units"]
    policy.obs_encoder.load_state_dict(eyes.obs_encoder.state_dict() | {"units": units})
    policy.obs_encoder.change_readings(eyes.normalizer, policy.normalizer)
    return policy


def lend_eyes(config: Config, eyes: DiffusionPolicy, policy: str | Path) -> tuple[Config, DiffusionPolicy]:
    """Another policy of state with the eyes that were taught for one: what they tell is in metres.

    Args:
        config: the run of the eyes.
        eyes: the policy that sees.
        policy: a policy of state, its run or one of its checkpoints, of any denoiser.

    Returns:
        Its configuration, with that of the eyes, and the policy.

    Raises:
        ConfigError: if it is not a policy of state, or one for another task.
    """
    vision, acting = config.policy.vision, read_checkpoint(policy, training=False).config
    if acting.policy.task != config.policy.task:
        raise ConfigError(
            f"{policy} is a policy for the task {acting.policy.task!r}, and the eyes were taught on "
            f"{config.policy.task!r}; name a policy for {config.policy.task!r}"
        )
    acting = override(seeing_config(acting, vision.backbone, vision.crop), vision=vision)
    return acting, joined(acting, eyes, load_policy(policy))


class Practice(Trainer):
    """A training that goes on from a policy's weights, in that policy's units.

    Its denoiser has learned in them: fitted anew, they would tell it something else.
    """

    def _read(self, path: str | Path) -> tuple[Windows, Windows]:
        units = {name: value.clone() for name, value in self.policy.normalizer.state_dict().items()}
        windows = super()._read(path)
        self.policy.normalizer.load_state_dict(units)
        return windows


def write_log(run_dir: Path, eyes: Path, step: int) -> None:
    """The practice's log as that of the whole run: its seconds include those in which the eyes were taught.

    Args:
        run_dir: the run; the practice's own log is in its folder "state".
        eyes: the run of the eyes.
        step: the eyes' last step that counts.
    """
    taught = [entry["seconds"] for entry in read_log(eyes) if "seconds" in entry and entry["step"] <= step]
    with write_atomically(run_dir / "log.jsonl") as file:
        for entry in read_log(run_dir / "state"):
            if "seconds" in entry and taught:
                entry["seconds"] += taught[-1]
            file.write((json.dumps(entry) + "\n").encode())
