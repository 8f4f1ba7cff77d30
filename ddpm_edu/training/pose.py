"""Teaching an encoder to tell the object's pose from pictures, so that a state policy can act on them.

The simulator knows where the object is, so every picture is an example for nothing. No action is learned
here: the denoiser is a state policy's, and the encoder learns to say what that policy was told in training.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from ddpm_edu.config import Config
from ddpm_edu.data.actions import matrix_to_axis_angle, quaternion_to_matrix, rotation_6d_to_matrix
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import CheckpointError, ConfigError
from ddpm_edu.factory import build_policy
from ddpm_edu.files import only_writer, refuse_foreign
from ddpm_edu.observation.object_pose import LENGTH, ObjectPoseEncoder, pose_in_hand
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.settings import override
from ddpm_edu.tasks import get_task
from ddpm_edu.training.checkpoint import (
    Checkpoint,
    list_checkpoints,
    load_state,
    read_checkpoint,
)
from ddpm_edu.training.ema import make_ema
from ddpm_edu.training.fingerprint import fingerprint
from ddpm_edu.training.log import RunLog
from ddpm_edu.training.losses import Losses
from ddpm_edu.training.optimizer import make_learning_rate, set_learning_rate
from ddpm_edu.training.resume import (
    DEMONSTRATIONS,
    INIT_FROM,
    RUN_FILES,
    clear_the_way,
    refuse_another_run,
    save_finite,
)
from ddpm_edu.training.stop import StopRequest

SEEN, UNSEEN = "scenes.hdf5", "scenes_states.hdf5"
"""The random scenes that a run brings for itself: with pictures, and until they are drawn without."""
FILES = (*RUN_FILES, SEEN, UNSEEN, f"{UNSEEN}.lock")
"""What may stand in the folder of a run: one with other things, and none of these, is somebody's."""


class Frames:
    """Pictures, proprioception and the object's true pose, of all steps of some files.

    Args:
        paths: robomimic HDF5 files with both cameras and the state.
        task: their task.
        mask: which of their demonstrations, "train" or "valid".
    """

    def __init__(self, paths: Sequence[str | Path], task: str, mask: str) -> None:
        seen = [Demonstrations.read(path, task, "image", filter_key=mask) for path in paths]
        known = [Demonstrations.read(path, task, "low_dim", filter_key=mask) for path in paths]
        self.sizes = [len(one.action) for one in seen]
        self.fingerprint = fingerprint(*seen, *known)
        self._images, self._readings = {}, {}
        for key in get_task(task).image:
            parts = [torch.from_numpy(one.obs[key.name]) for one in seen]
            if key.type == "rgb":
                # As flat rows with the channels last: gathered several times faster than by indexing.
                flat = torch.cat([part.movedim(1, -1).flatten(1) for part in parts])  # (N, H W 3)
                height, width = key.shape[1:]
                self._images[key.name] = (flat, (height, width, key.shape[0]))
            else:
                self._readings[key.name] = torch.cat(parts)
        self.object = torch.cat([torch.from_numpy(one.obs["object"]) for one in known])  # (N, 14)

    def __len__(self) -> int:
        return len(self.object)

    def obs(self, rows: Tensor) -> dict[str, Tensor]:
        """The readings {key: (B, ...)} of some rows (B,), not normalised."""
        images = {
            name: flat.index_select(0, rows).unflatten(1, shape).movedim(-1, 1)
            for name, (flat, shape) in self._images.items()
        }
        return images | {name: values.index_select(0, rows) for name, values in self._readings.items()}


@dataclass(frozen=True)
class PoseErrors:
    """How far an encoder's estimates are off: medians and 90 % quantiles, metres and radians.

    Attributes:
        distance: of the object's place, all frames.
        turn: of its rotation, all frames.
        near_distance: of its place where the object is within 6 cm of the hand.
        near_turn: of its rotation there.
    """

    distance: tuple[float, float]
    turn: tuple[float, float]
    near_distance: tuple[float, float]
    near_turn: tuple[float, float]

    def __str__(self) -> str:
        def words(distance: tuple[float, float], turn: tuple[float, float]) -> str:
            mm, degrees = [1e3 * value for value in distance], [math.degrees(value) for value in turn]
            return f"{mm[0]:.1f} mm ({mm[1]:.1f} in the worst tenth), {degrees[0]:.1f}° ({degrees[1]:.1f}°)"

        return f"{words(self.distance, self.turn)}; near the hand {words(self.near_distance, self.near_turn)}"


@torch.no_grad()
def pose_errors(policy: DiffusionPolicy, frames: Frames, most: int = 2000) -> PoseErrors:
    """Measures an encoder on evenly spread frames."""
    policy.eval()
    rows = torch.linspace(0, len(frames) - 1, min(most, len(frames))).long()
    estimates = torch.cat([_estimate(policy, frames, part) for part in rows.split(128)])  # (M, 9)
    truth = frames.object[rows]  # (M, 14)
    distance = (estimates[:, :3] * LENGTH - truth[:, 7:10]).norm(dim=-1)  # (M,)
    wanted = quaternion_to_matrix(truth[:, 10:])  # (M, 3, 3)
    turn = matrix_to_axis_angle(rotation_6d_to_matrix(estimates[:, 3:]) @ wanted.mT).norm(dim=-1)  # (M,)
    near = truth[:, 7:10].norm(dim=-1) < 0.06
    near = near if bool(near.any()) else torch.ones_like(near)

    def spread(values: Tensor) -> tuple[float, float]:
        return float(values.quantile(0.5)), float(values.quantile(0.9))

    return PoseErrors(spread(distance), spread(turn), spread(distance[near]), spread(turn[near]))


def seeing_config(state: Config, backbone: str, crop: tuple[int, int] | None = None) -> Config:
    """The configuration of a policy that acts as a state policy does, on the pose that it sees.

    Raises:
        ConfigError: if the policy is not one of state, or no choice is called so.
    """
    if state.policy.observation != "low_dim":
        raise ConfigError(
            f"the policy observes {state.policy.observation!r}; eyes are given to one that observes 'low_dim'"
        )
    return override(
        state,
        policy__observation="image",
        vision__tells="object",
        vision__backbone=backbone,
        vision__crop=crop,
    )


def seeing_policy(config: Config, state: DiffusionPolicy) -> DiffusionPolicy:
    """The policy of `seeing_config`: a fresh encoder before the denoiser of a state policy, in its units."""
    policy = build_policy(config.policy)
    policy.denoiser.load_state_dict(state.denoiser.state_dict())
    own, theirs = policy.normalizer.state_dict(), state.normalizer.state_dict()
    policy.normalizer.load_state_dict({name: theirs.get(name, value) for name, value in own.items()})
    policy.obs_encoder.set_units(state.normalizer)
    return policy


class PoseTeacher:
    """Teaches the encoder of one policy, in one folder that a stopped run goes on from.

    Args:
        config: the run; of `training`, what concerns steps, batches, rates and averages is used.
        policy: of `seeing_policy`.
        run_dir: the run's folder. Its checkpoints are whole policies.
        train: what to learn from. Each file counts the same in a batch, however many frames it has.
        valid: what to be judged on.
        about: kept in the checkpoints, such as the command.
        given: the policy that is given eyes, as `ddpm_edu.training.checkpoint.origin` tells.

    Raises:
        ConfigError: if the folder holds a run of another configuration, on other pictures or of another
            policy, or if the policy's encoder tells nothing.
    """

    def __init__(
        self,
        config: Config,
        policy: DiffusionPolicy,
        run_dir: str | Path,
        train: Frames,
        valid: Frames,
        about: dict[str, Any] | None = None,
        given: dict[str, str] | None = None,
    ) -> None:
        if not isinstance(policy.obs_encoder, ObjectPoseEncoder):
            raise ConfigError(
                "vision.tells is 'features'; an encoder can be taught only if it tells 'object'"
            )
        self.config, self.policy, self.run_dir = config, policy, Path(run_dir)
        self.train, self.valid = train, valid
        seen = "".join(frames.fingerprint for frames in (train, valid))
        self.about = {**(about or {}), DEMONSTRATIONS: hashlib.sha256(seen.encode()).hexdigest()}
        self.about |= {INIT_FROM: given} if given else {}
        self.checkpoints = self.run_dir / "checkpoints"
        training = config.training
        self.generator = torch.Generator().manual_seed(training.seed)
        self.step, self.seconds = 0, 0.0
        # Only the encoder moves: the denoiser stays what it was.
        self.optimizer = torch.optim.AdamW(
            policy.obs_encoder.parameters(),
            lr=training.learning_rate,
            betas=training.betas,
            weight_decay=training.encoder_weight_decay,
            fused=True,
        )
        self.learning_rate = make_learning_rate(self.optimizer, training)
        self.ema = make_ema(policy.obs_encoder, training)
        self.losses = Losses(self.checkpoints, training)
        self._resume()

    def run(self, max_minutes: float | None = None, progress: bool = True) -> str | None:
        """Teaches until the last step, or until the time limit, Ctrl-C or SIGTERM, and saves a checkpoint.

        Returns:
            Why it stopped before its last step, or None.

        Raises:
            BusyError: if another process teaches in this folder.
            TrainingError: if a loss or a weight is not finite any more.
            UserError: if the folder holds other things than a run.
        """
        with only_writer(self.run_dir):
            refuse_foreign(self.run_dir, FILES)
            clear_the_way(self.run_dir, self.step)
            return self._run(max_minutes, progress)

    def _run(self, max_minutes: float | None, progress: bool) -> str | None:
        training, started, losses = self.config.training, time.monotonic(), self.losses
        log = RunLog(self.run_dir, self.step)
        bar = tqdm(total=training.steps, initial=self.step, desc="seeing", unit="step", disable=not progress)
        with StopRequest(max_minutes) as stop_requested, closing(log), bar:
            while self.step < training.steps and not stop_requested():
                losses.add(self._train_step())
                losses.read(self.step)
                bar.update()
                last = self.step == training.steps
                if self.step % training.log_every == 0 or last:
                    loss = losses.mean()
                    rate = self.learning_rate.get_last_lr()[0]
                    seconds = self.seconds + time.monotonic() - started
                    log.write(self.step, loss=loss, learning_rate=rate, seconds=seconds)
                    bar.set_postfix(loss=f"{loss:.4f}")
                if self.step % training.validate_every == 0 or last:
                    errors = pose_errors(self.averaged(), self.valid)
                    log.write(
                        self.step,
                        pose_error_mm=1e3 * errors.distance[0],
                        pose_error_degrees=math.degrees(errors.turn[0]),
                        near_error_mm=1e3 * errors.near_distance[0],
                        near_error_degrees=math.degrees(errors.near_turn[0]),
                    )
                if self.step % training.checkpoint_every == 0 and not last:
                    self._save(started)
            self._save(started)  # in here, where a signal does not cut it off
        return stop_requested.reason

    def averaged(self) -> DiffusionPolicy:
        """The policy with the averaged encoder, which is what acts."""
        policy = self.policy
        parts = (policy.conditioning, policy.denoiser, policy.process, policy.normalizer)
        return DiffusionPolicy(policy.config, self.ema.module, *parts).eval()

    def _train_step(self) -> Tensor:
        """One optimiser step; returns its loss ()."""
        size, files = self.config.training.batch_size, len(self.train.sizes)
        rows, first = [], 0
        for number, frames in enumerate(self.train.sizes):
            share = size * (number + 1) // files - size * number // files
            rows.append(first + torch.randint(frames, (share,), generator=self.generator))
            first += frames
        rows = torch.cat(rows)  # (B,)
        self.policy.obs_encoder.train()
        loss = pose_loss(
            _estimate(self.policy, self.train, rows, self.generator), pose_in_hand(self.train.object[rows])
        )
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.learning_rate.step()
        self.ema.update_parameters(self.policy.obs_encoder)
        self.step += 1
        return loss.detach()

    # ----------------------------------------------------------------------------------- checkpoints

    def _save(self, started: float) -> None:
        training = {
            "optimizer": self.optimizer.state_dict(),
            "learning_rate": self.learning_rate.state_dict(),
            "n_averaged": self.ema.n_averaged,
            "generator": self.generator.get_state(),
            "seconds": self.seconds + time.monotonic() - started,
            "losses": self.losses.read_already,
        }
        state = self.policy.state_dict(), self.averaged().state_dict()
        checkpoint = Checkpoint(self.step, self.config, *state, training, self.about)
        save_finite(self.checkpoints, checkpoint)

    def _resume(self) -> None:
        if not list_checkpoints(self.checkpoints):
            return
        checkpoint = read_checkpoint(self.run_dir)
        given = self.about.get(INIT_FROM) if INIT_FROM in checkpoint.about else None  # else from before it
        refuse_another_run(self.run_dir, checkpoint, self.config, self.about[DEMONSTRATIONS], given)
        load_state(self.policy, checkpoint.weights, self.run_dir)
        load_state(self.averaged(), checkpoint.ema, self.run_dir)
        state = checkpoint.training
        try:
            self.optimizer.load_state_dict(state["optimizer"])
            self.learning_rate.load_state_dict(state["learning_rate"])
            self.ema.n_averaged.copy_(state["n_averaged"])
            self.generator.set_state(state["generator"])
            self.seconds = state["seconds"]
            # A run from before these were kept goes on, too.
            self.losses.read_already = [float(loss) for loss in state.get("losses", [])]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{self.run_dir} does not hold what resuming needs ({error!r}); remove its newest checkpoint"
            ) from None
        self.step = checkpoint.step
        if checkpoint.config.training.steps != self.config.training.steps:
            set_learning_rate(self.learning_rate)


def pose_loss(estimate: Tensor, wanted: Tensor) -> Tensor:
    """How wrong estimates (B, 9) of `ObjectPoseEncoder.estimate` are: a scalar.

    Absolute errors, because a hidden object must not outweigh all that can be seen. An error of the place
    counts less the farther the object is from the hand: a far one need only be approached.
    """
    errors = F.smooth_l1_loss(estimate, wanted, beta=0.02, reduction="none")  # (B, 9)
    weight = 2 / (1 + wanted[:, :3].norm(dim=-1))  # (B,)
    return (weight * errors[:, :3].mean(dim=-1)).mean() + 0.5 * errors[:, 3:].mean()


def _estimate(
    policy: DiffusionPolicy, frames: Frames, rows: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    return policy.obs_encoder.estimate(policy.normalizer.normalize(frames.obs(rows)), generator)  # (B, 9)
