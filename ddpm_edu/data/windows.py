"""Windows over demonstrations by index arithmetic: a batch is one gather, whatever its size.

A window is T steps that start To - 1 steps before "now":

    step       0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15      T  = 16, the horizon
    observed  [o][o]                                               To = 2, the last one is now
    predicted [p][p][p][p][p][p][p][p][p][p][p][p][p][p][p][p]
    executed     [a][a][a][a][a][a][a][a]                          Ta = 8, from step To - 1 on

A policy acts from the first step of an episode, when it has seen one observation and not To, and up to the
last, when less than T steps remain. So windows also start up to To - 1 steps before a demonstration and end
some steps after it, and the first and last step are repeated there:

    demonstration         0  1  2  3  4  ...  L-2 L-1
    first window       0  0  1  2  3  4  ...                       To - 1 repeated steps before
    last window                          ...  L-2 L-1 L-1 L-1 ...  Ta - 1 or more repeated steps after

After it Ta - 1 steps are repeated, as in the reference implementation. With its 16, 2 and 8 the last window
then executes the demonstration's last action, and not one step less would do. With a smaller Ta it would not
get there: of T = 16 and Ta = 2 the last 13 looks of every demonstration, where the nut goes over the peg and
is let go, would stand in no window. So as many more are repeated as it takes; see `padding_after`.

A repeated delta action means "keep moving" where the robot should hold still. `is_pad` says which steps are
repeated, so that a loss can leave them out; the reference implementation trains on them (Chi et al. 2023,
its `SequenceSampler`), and with short horizons it matters little, because they are hardly ever executed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddpm_edu.data.actions import at_rest
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import CheckpointError, ConfigError
from ddpm_edu.horizons import check_horizons
from ddpm_edu.settings import at_least


def padding_after(horizon: int, n_obs_steps: int, n_action_steps: int) -> int:
    """Steps by which the last window reaches over the end of its demonstration.

    It executes the Ta steps from To - 1 on, and their last must be the demonstration's last or a later one;
    that takes T - (To - 1) - Ta. With Ta - 1, the reference implementation's number, it holds only where
    2 Ta + To - 2 >= T. A policy trained with less never learned to finish: Square's UNet, T = 16 and Ta = 2.

    Args:
        horizon: T.
        n_obs_steps: To.
        n_action_steps: Ta.
    """
    return max(n_action_steps - 1, horizon - (n_obs_steps - 1) - n_action_steps)


class Windows:
    """All windows of some demonstrations.

    A demonstration of L steps has L - T + To + `padding_after` windows, and at least one: what is shorter
    than T is padded further at its end.

    Args:
        demonstrations: where the steps come from. Their memory is shared, not copied (low-dim keys are).
        horizon: T, steps of a window.
        n_obs_steps: To, observations that a policy sees.
        n_action_steps: Ta, actions that are executed before the next look.
        obs_steps: observations in a batch, counted from the window's first step: To by default, T where
            the policy is trained on future observations too (inpainting).
        from_rest: the actions before a demonstration are those of an arm at rest, and not its first one
            again: for a policy that is told the actions before now. When it acts nothing was done before
            the first decision, and in training it would be told the answer.

    Attributes:
        rows: (W, T) int64, which row of the demonstrations each step of each window is.
        is_pad: (W, T) bool, True where that row is repeated.

    Raises:
        ConfigError: if the numbers cannot work together, with the arithmetic.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        horizon: int,
        n_obs_steps: int,
        n_action_steps: int,
        obs_steps: int | None = None,
        from_rest: bool = False,
    ) -> None:
        obs_steps = n_obs_steps if obs_steps is None else obs_steps
        check_horizons(horizon, n_obs_steps, n_action_steps)
        if not n_obs_steps <= obs_steps <= horizon:
            raise ConfigError(
                f"obs_steps is {obs_steps}; it must lie between n_obs_steps {n_obs_steps} and "
                f"horizon {horizon}"
            )
        self.demonstrations = demonstrations
        self.horizon, self.n_obs_steps, self.n_action_steps = horizon, n_obs_steps, n_action_steps
        self.obs_steps = obs_steps

        after = padding_after(horizon, n_obs_steps, n_action_steps)
        rows, is_pad = [], []
        begin = 0
        for end in demonstrations.episode_ends.tolist():
            earliest = begin - (n_obs_steps - 1)
            latest = max(earliest, end + after - horizon)
            start = torch.arange(earliest, latest + 1)  # (windows of this demonstration,)
            steps = start[:, None] + torch.arange(horizon)  # (windows, T)
            rows.append(steps.clamp(begin, end - 1))
            is_pad.append((steps < begin) | (steps >= end))
            begin = end
        self.rows, self.is_pad = torch.cat(rows), torch.cat(is_pad)  # (W, T)

        self._action = torch.from_numpy(np.ascontiguousarray(demonstrations.action))  # (N, Da)
        self._action_rows = self._with_rest() if from_rest else self.rows  # (W, T)
        self._images = {}
        self._low_dim_names, self._low_dim_sizes, low_dim = [], [], []
        for key in demonstrations.task.observation(demonstrations.observation):
            values = torch.from_numpy(demonstrations.obs[key.name])  # (N, ...)
            if key.type == "rgb":
                # Gathered as the flat rows that lie in memory: seven times faster than indexing.
                self._images[key.name] = values.movedim(1, -1).contiguous()  # (N, H, W, 3)
            else:
                self._low_dim_names.append(key.name)
                self._low_dim_sizes.append(values.shape[1])
                low_dim.append(values)
        self._low_dim = torch.cat(low_dim, dim=-1)  # (N, sum of Do)

    def __len__(self) -> int:
        """Number of windows, W."""
        return len(self.rows)

    def batch(self, indices: Tensor | Sequence[int]) -> dict[str, Any]:
        """Some windows.

        Args:
            indices: (B,) int64, each from 0 to W - 1.

        Returns:
            `{"obs": {key: (B, obs_steps, ...)}, "action": (B, T, Da), "is_pad": (B, T)}`: low-dim
            observations and actions float32, images uint8 (B, obs_steps, 3, H, W) as views of memory that
            keeps the channels last, `is_pad` bool, True where a step is repeated.

        Raises:
            IndexError: if there is no such window, or the indices are a mask or have fractions.
        """
        indices = torch.as_tensor(indices)
        if len(indices) and (indices.dtype == torch.bool or indices.dtype.is_floating_point):
            raise IndexError(f"window indices are {indices.dtype}; they must be whole numbers")
        indices = indices.to(torch.int64)  # also those of an empty list
        rows = self.rows.index_select(0, indices)  # (B, T)
        obs_rows = rows[:, : self.obs_steps]  # (B, S)

        obs = {name: _gather(image, obs_rows).movedim(-1, -3) for name, image in self._images.items()}
        low_dim = _gather(self._low_dim, obs_rows)  # (B, S, sum of Do)
        obs |= zip(self._low_dim_names, low_dim.split(self._low_dim_sizes, dim=-1), strict=True)
        is_pad = self.is_pad.index_select(0, indices)  # (B, T)
        action = _gather(self._action, self._action_rows.index_select(0, indices))  # (B, T, Da)
        return {"obs": obs, "action": action, "is_pad": is_pad}

    def _with_rest(self) -> Tensor:
        """Appends each demonstration's action at rest to the actions; the rows (W, T) that lead there."""
        data = self.demonstrations
        first = np.concatenate([[0], data.episode_ends[:-1]])  # (E,)
        pose = [torch.from_numpy(data.obs[key][first]) for key in ("robot0_eef_pos", "robot0_eef_quat")]
        rest = at_rest(*pose, data.task, data.action_type)  # (E, Da)
        episode = torch.from_numpy(np.searchsorted(data.episode_ends, self.rows[:, -1], side="right"))  # (W,)
        # Padded from the window's first step on: before the demonstration, and not after it.
        before = self.is_pad.cumprod(dim=1).bool()  # (W, T)
        there = len(self._action) + episode[:, None]  # (W, 1)
        self._action = torch.cat([self._action, rest])  # (N + E, Da)
        return torch.where(before, there, self.rows)

    def batches(self, batch_size: int, seed: int = 0) -> Batches:
        """Endless random batches of window indices, whose position can be saved; see `Batches`."""
        return Batches(len(self), batch_size, seed)


class Batches(Iterator[Tensor]):
    """Endless batches of indices: each epoch holds every index once, in a new random order.

    All batches have the same size. One that begins near the end of an epoch is filled from the next, so that
    nothing is left out and a small dataset works with a large batch. The state that `state_dict` returns
    is enough to go on with exactly the batches that would have followed.

    Args:
        size: number of indices, W.
        batch_size: B.
        seed: decides the order.

    Raises:
        ConfigError: if `size` or `batch_size` is below 1.
    """

    def __init__(self, size: int, batch_size: int, seed: int = 0) -> None:
        if size < 1:
            raise ConfigError("there are no windows to draw batches from; give at least one demonstration")
        at_least("batch_size", batch_size)
        self.size, self.batch_size = size, batch_size
        self.epoch = -1
        # A generator of its own: torch's global one would tie the batches to what else is drawn.
        self._generator = torch.Generator().manual_seed(seed)
        self._next_epoch()

    def __next__(self) -> Tensor:
        """The next (B,) int64 indices."""
        parts, missing = [], self.batch_size
        while missing:
            if self._position == self.size:
                self._next_epoch()
            part = self._order[self._position : self._position + missing]
            self._position += len(part)
            missing -= len(part)
            parts.append(part)
        return torch.cat(parts)  # (B,)

    def state_dict(self) -> dict[str, Any]:
        """Epoch, position in it, and the generator's state from which the epoch's order was drawn."""
        return {
            "size": self.size,
            "epoch": self.epoch,
            "position": self._position,
            "generator": self._epoch_state.clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where a state was saved.

        Raises:
            CheckpointError: if the state is of another number of windows, whose order it cannot continue.
        """
        if state["size"] != self.size:
            raise CheckpointError(
                f"the checkpoint was trained on {state['size']} windows, and these demonstrations have "
                f"{self.size}; resume with the same file, horizons and version of "
                f"ddpm_edu, or start a new run"
            )
        self._generator.set_state(state["generator"])
        self._next_epoch()
        self.epoch, self._position = state["epoch"], state["position"]

    def _next_epoch(self) -> None:
        self.epoch += 1
        self._epoch_state = self._generator.get_state()
        self._order = torch.randperm(self.size, generator=self._generator)  # (W,)
        self._position = 0


def _gather(values: Tensor, rows: Tensor) -> Tensor:
    """The rows (B, S) of values (N, ...): (B, S, ...)."""
    flat = values.flatten(1).index_select(0, rows.flatten())  # (B * S, ...)
    return flat.view(*rows.shape, *values.shape[1:])
