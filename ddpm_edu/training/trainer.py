"""Training a policy: one loop that can be stopped at any moment and goes on as if it had not been.

What a step draws at random (which windows, which noise, which diffusion steps) comes from generators whose
state is in the checkpoint, and is drawn for the whole batch before it is shared among processes. So a
resumed run equals an uninterrupted one, and two processes follow the same loss curve as one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from tqdm.auto import tqdm

from ddpm_edu.config import Config
from ddpm_edu.cpu import accelerate_training
from ddpm_edu.data.demonstrations import read_split
from ddpm_edu.data.windows import Windows
from ddpm_edu.errors import ConfigError, UserError
from ddpm_edu.factory import build_policy
from ddpm_edu.files import only_writer, refuse_foreign
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.settings import differences, to_dict
from ddpm_edu.training.checkpoint import (
    BEST,
    Checkpoint,
    write_policy,
)
from ddpm_edu.training.ema import make_ema
from ddpm_edu.training.fingerprint import fingerprint
from ddpm_edu.training.log import RunLog, read_log
from ddpm_edu.training.losses import Losses, diverged
from ddpm_edu.training.optimizer import make_learning_rate, make_optimizer
from ddpm_edu.training.precision import with_precision
from ddpm_edu.training.resume import (
    RUN_FILES,
    about_run,
    begin_from,
    clear_the_way,
    resume,
    save_finite,
    training_state,
)
from ddpm_edu.training.stop import StopRequest
from ddpm_edu.training.validation import Best, to_device, validation_action_error, validation_loss

Play = Callable[[DiffusionPolicy, int], float]
"""Lets a policy act in so many episodes and returns the fraction that succeeded."""


@dataclass(frozen=True)
class TrainingResult:
    """How a call of `Trainer.run` ended.

    Attributes:
        checkpoint: the newest checkpoint.
        step: optimiser steps taken since the run began.
        stopped: why it was to end before its last step, or None.
        seconds: time of this call.
        loss: mean training loss of the last entry of the log.
    """

    checkpoint: Path
    step: int
    stopped: str | None
    seconds: float
    loss: float


class Trainer:
    """Trains one policy in one folder.

    Args:
        config: the run. A folder that holds a checkpoint of the same configuration is resumed; a run that
            is given more steps goes on too, with the learning rates of the longer run.
        run_dir: the run's folder.
        policy: a policy to train instead of a fresh one.
        play: lets the averaged policy act, for `rollout_every`. It comes from above: training does not know
            the simulator.
        init_from: a run or checkpoint whose averaged weights a fresh run begins with. Its normaliser is not
            taken: that is fitted on what is trained on.

    Raises:
        ConfigError: if the folder holds a run of another configuration, or on other demonstrations, or if
            the policy has another configuration than the run.
        CheckpointError: if the folder's newest checkpoint, or the one to begin from, is broken or unfit.
        DatasetError: if the demonstrations are missing or broken.
    """

    def __init__(
        self,
        config: Config,
        run_dir: str | Path,
        policy: DiffusionPolicy | None = None,
        play: Play | None = None,
        init_from: str | Path | None = None,
    ):
        config, self.precision = with_precision(config, run_dir)
        self.config, self.run_dir = config, Path(run_dir)
        self.checkpoints = self.run_dir / "checkpoints"
        training = config.training
        self.play = play
        if training.rollout_every and play is None:
            raise ConfigError(
                f"training.rollout_every is {training.rollout_every}, and this trainer was given nothing to "
                "play with; use ddpm-edu train, pass play=, or set it to 0"
            )
        self.best = Best(by_success=training.rollout_every > 0)
        earlier = AcceleratorState._shared_state.get("_mixed_precision", training.mixed_precision)
        if earlier != training.mixed_precision:
            AcceleratorState._reset_state()  # of an earlier trainer in this process; the processes stay
        self.accelerator = Accelerator(mixed_precision=training.mixed_precision)
        share = self.accelerator.num_processes * training.gradient_accumulation_steps
        if training.batch_size % share:
            raise ConfigError(
                f"training.batch_size {training.batch_size} is not divisible by {share} = "
                f"{self.accelerator.num_processes} processes x {training.gradient_accumulation_steps} "
                "accumulation steps"
            )
        # The same seed in every process: they must start from the same weights and draw the same noise.
        set_seed(training.seed)
        self.generator = torch.Generator().manual_seed(training.seed)
        self.step, self.seconds = 0, 0.0
        self.losses = Losses(self.checkpoints, training, self.accelerator)

        self.policy = policy if policy is not None else build_policy(config.policy)
        # The checkpoint says what the configuration says: a policy that is another would be opened as this.
        for name, asked, found in differences(to_dict(config.policy), to_dict(self.policy.config)):
            raise ConfigError(
                f"config.policy.{name} is {asked!r}, and the policy to train has {found!r}; "
                "pass a configuration with policy=policy.config"
            )
        path = config.data.path or shipped_demonstrations(config.policy.task, config.policy.observation)
        self.windows, self.validation = self._read(path)
        self.batches = self.windows.batches(training.batch_size, seed=training.seed)
        self.init_from = begin_from(self, init_from) if init_from is not None else None
        self.policy.to(self.accelerator.device)
        self.ema = make_ema(self.policy, training)
        optimizer = make_optimizer(self.policy, training)
        self.learning_rate = make_learning_rate(optimizer, training)
        if self.accelerator.device.type == "cpu":
            accelerate_training(self.policy)  # the same numbers, sooner; the average stays plain
        if training.compile != "no":
            self.policy.denoiser.compile(backend=training.compile)  # in place: its weights keep their names
        self.model, self.optimizer = self.accelerator.prepare(self.policy, optimizer)
        resume(self)

    # ------------------------------------------------------------------------------------------ data

    def _read(self, path: str | Path) -> tuple[Windows, Windows]:
        config, data = self.policy.config, self.config.data
        train, valid = read_split(
            path, config.task, config.observation, data.train_mask, data.valid_mask, data.max_demonstrations
        )
        self.demonstrations = fingerprint(train, valid)
        if config.action == "absolute":
            train, valid = train.to_absolute(), valid.to_absolute()
        # Fitted on what is trained on, and nothing else.
        self.policy.normalizer.fit(train)
        return self.policy.windows(train), self.policy.windows(valid)

    def describe(self) -> str:
        """One line: what is trained, on how much, from which step to which."""
        config, count = (
            self.policy.config,
            sum(p.numel() for p in self.policy.parameters() if p.requires_grad),
        )
        return (
            f"{config.task} {config.observation}, {config.denoiser.name} with {config.conditioning} "
            f"conditioning, {count:,} parameters; {len(self.windows):,} windows; steps {self.step} to "
            f"{self.config.training.steps} on {self.accelerator.device}{self.precision}; run: {self.run_dir}"
        )

    # ------------------------------------------------------------------------------------------ loop

    def run(self, max_minutes: float | None = None, progress: bool = True) -> TrainingResult:
        """Train until the last step, the time limit, Ctrl-C, SIGTERM or SIGHUP, and save a checkpoint.

        Args:
            max_minutes: stop cleanly after so many minutes.
            progress: show a progress bar.

        Raises:
            TrainingError: if a loss or a weight is not finite any more; the last checkpoint is from before.
            BusyError: if another process trains in this folder.
            UserError: if the folder holds other things than a run.
        """
        with only_writer(self.run_dir) if self.accelerator.is_main_process else nullcontext():
            self._refuse_another_folder()
            return self._run(max_minutes, progress)

    def _refuse_another_folder(self) -> None:
        if not self.accelerator.is_main_process:
            return
        refuse_foreign(self.run_dir, RUN_FILES)
        clear_the_way(self.run_dir, self.step)

    def _run(self, max_minutes: float | None, progress: bool) -> TrainingResult:
        training = self.config.training
        main = self.accelerator.is_main_process
        started, loss_mean = time.monotonic(), float("nan")
        log = RunLog(self.run_dir, self.step) if main else None
        bar = tqdm(
            total=training.steps,
            initial=self.step,
            desc="training",
            unit="step",
            disable=not (progress and main),
        )
        with (
            StopRequest(max_minutes, self.accelerator) as stop_requested,
            closing(bar),  # before an error is said: its line would be in the way
            closing(log) if log else nullcontext(),
        ):
            while self.step < training.steps and not stop_requested():
                self.losses.add(self._train_step())
                bar.update()
                if self.step % training.log_every == 0 or self.step == training.steps:
                    # Read only now: a GPU would have to be waited for at every step.
                    self.losses.read(self.step)
                    loss_mean = self.losses.mean()
                    bar.set_postfix(loss=f"{loss_mean:.4f}")
                    if log:
                        rate = self.learning_rate.get_last_lr()[0]
                        seconds = self.seconds + time.monotonic() - started
                        log.write(self.step, loss=loss_mean, learning_rate=rate, seconds=seconds)
                if self.step % training.validate_every == 0 or self.step == training.steps:
                    self._validate(log)
                if training.rollout_every and self.step % training.rollout_every == 0:
                    self._roll_out(log, started)
                if self.step % training.checkpoint_every == 0 and self.step < training.steps:
                    self._save(started)
            path = self._save(started)  # in here, where a signal does not cut it off
            stop_requested.agree()
        if math.isnan(loss_mean):  # nothing was logged in this call: the run was finished already, or nearly
            logged = [entry["loss"] for entry in read_log(self.run_dir) if "loss" in entry]
            loss_mean = logged[-1] if logged else loss_mean
        return TrainingResult(path, self.step, stop_requested.reason, time.monotonic() - started, loss_mean)

    def _train_step(self) -> torch.Tensor:
        """One optimiser step; returns this process's share of the loss ()."""
        training = self.config.training
        indices = next(self.batches)  # (B,)
        draws = training.noise_draws
        shape = self.policy.trajectory_shape(len(indices) * draws)
        noise, timesteps = self.policy.process.draw(shape, self.generator)  # (B*draws, T, D), (B*draws,)
        # Contiguous shares of one global batch: the mean of their means is the mean of the whole. With
        # exclude_padding only nearly: a share with more padding counts its other elements a little more.
        share = len(indices) // (self.accelerator.num_processes * training.gradient_accumulation_steps)
        first = self.accelerator.process_index * training.gradient_accumulation_steps
        self.model.train()
        total = torch.zeros((), device=self.accelerator.device)
        for part in range(first, first + training.gradient_accumulation_steps):
            rows = slice(part * share, (part + 1) * share)
            batch = to_device(self.windows.batch(indices[rows]), self.accelerator.device)
            drawn = slice(part * share * draws, (part + 1) * share * draws)
            last = part == first + training.gradient_accumulation_steps - 1
            # Gradients are exchanged once for each optimiser step, with its last part.
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                loss = self.model(
                    batch,
                    noise=noise[drawn].to(self.accelerator.device),
                    timesteps=timesteps[drawn].to(self.accelerator.device),
                    noise_draws=draws,
                )
                self.accelerator.backward(loss / training.gradient_accumulation_steps)
            total += loss.detach() / training.gradient_accumulation_steps
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.learning_rate.step()
        self.ema.update_parameters(self.policy)
        self.step += 1
        return total

    def validation_loss(self, max_windows: int = 1024) -> float:
        """See `ddpm_edu.training.validation.validation_loss`: that of the averaged weights."""
        return validation_loss(self.ema.module, self.validation, self.config.training.batch_size, max_windows)

    def _validate(self, log: RunLog | None) -> None:
        self.losses.read(self.step)
        if log is None:  # every process would find the same
            return
        error = validation_action_error(self.ema.module, self.validation, self.config.training.batch_size)
        loss = self.validation_loss()
        if not (math.isfinite(error) and math.isfinite(loss)):
            what = f"the held-out loss is {loss} at step {self.step}"
            raise diverged(what, self.checkpoints, self.config.training)
        log.write(self.step, validation_loss=loss, validation_action_error=error)
        if not self.best.by_success and self.best.improves(error, self.step):
            self._save_best()

    def _roll_out(self, log: RunLog | None, started: float) -> None:
        """Let the averaged policy act for a few episodes; what is learned does not depend on it."""
        self.losses.read(self.step)
        if log is not None:
            random_state, was_training = torch.get_rng_state(), self.ema.training
            policy = self.ema.module.eval()
            try:
                rate = self.play(policy, self.config.training.rollout_episodes)
            except UserError:  # no simulator: the steps since the last checkpoint must not go with it
                self._save(started)
                raise
            self.ema.train(was_training)
            torch.set_rng_state(random_state)
            log.write(self.step, success_rate=rate)
            if self.best.improves(rate, self.step):
                self._save_best()
        self.accelerator.wait_for_everyone()

    # ----------------------------------------------------------------------------------- checkpoints

    def _save_best(self) -> None:
        """Keep the averaged weights of this step; training goes on from the last checkpoints only."""
        about = {**about_run(self), BEST: str(self.best)}
        ema = self.ema.module.state_dict()
        write_policy(self.checkpoints / BEST, Checkpoint(self.step, self.config, None, ema, None, about))

    def _save(self, started: float) -> Path:
        self.losses.read(self.step)
        folder = self.checkpoints / f"step_{self.step:08d}"
        if self.accelerator.is_main_process:
            state = training_state(self, self.seconds + time.monotonic() - started)
            checkpoint = Checkpoint(
                self.step,
                self.config,
                self.policy.state_dict(),
                self.ema.module.state_dict(),
                state,
                about_run(self),
            )
            save_finite(self.checkpoints, checkpoint)
        self.accelerator.wait_for_everyone()
        return folder
