"""The tasks as gymnasium environments over robosuite.

Three things differ from calling robosuite directly, and each removes a hidden dependence on the past:

* An episode begins as robomimic's `reset_to` begins one: the state is set into freshly loaded controllers,
  whose null-space target is the robot's nominal posture. An episode is thus a function of its first state
  and its actions, and robomimic's playback reproduces it bit by bit. (robosuite's own `reset` aims the
  null space at the noisy first posture, which no replay knows; open-loop replays then drift.)
* Observations are computed from the state that the step has just reached. robosuite's own lag by one
  physics step, and the object's pose relative to the hand by a whole control step (zeros after a reset).
* The model is compiled once and kept. Only the state is drawn anew, from a generator that belongs to the
  episode's seed, so a seed gives the same episode on any worker, whatever ran there before.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from ddpm_edu.errors import SimulatorError, first_line
from ddpm_edu.simulation.model_xml import portable_model_xml, with_own_assets
from ddpm_edu.simulation.renderer import Renderer
from ddpm_edu.simulation.robosuite_arguments import CAMERAS, IMAGE_SIZE, robosuite_arguments
from ddpm_edu.simulation.sensors import Sensors
from ddpm_edu.simulation.workers import sign_of_life
from ddpm_edu.tasks import ObservationKey, ObservationMode, Task, get_task
from ddpm_edu.third_party import import_robosuite, robosuite_assets

__all__ = ["CAMERAS", "IMAGE_SIZE", "ManipulationEnv", "make_env"]


ABSOLUTE_ACTION_DIM = 10
"""Da of an absolute action: goal position 3, goal rotation 6, gripper 1."""


def make_env(
    task: str | Task,
    observation: ObservationMode = "low_dim",
    seed: int | None = None,
    max_steps: int | None = None,
    fast_rendering: bool = True,
) -> ManipulationEnv:
    """Makes the environment of a task.

    Args:
        task: a task or its name, such as "can".
        observation: "low_dim" or "image": which of the task's observations to return.
        seed: seed of the first episode when `reset` is called without one; later episodes follow from it.
        max_steps: control steps before an episode is cut off; the task's own number by default (400).
        fast_rendering: render images the fast way; see `ddpm_edu.simulation.renderer`.

    Returns:
        A `gymnasium.Env`; see `ManipulationEnv`.

    Raises:
        ConfigError: if the task or the observation is unknown.
        SimulatorError: if `observation` is "image" and no renderer is available.
    """
    return ManipulationEnv(task, observation, seed, max_steps, fast_rendering)


class ManipulationEnv(gymnasium.Env):
    """One robot arm and one object: a robosuite task as a gymnasium environment.

    Observations are dictionaries of the task's keys for one step: low-dim entries float32, images uint8
    (3, 84, 84). An action holds Da = 7 numbers in [-1, 1]: the hand's translation (1 is 5 cm), its rotation
    as axis and angle (1 is 0.5 rad), both in the frame of the robot's base, and the gripper (positive
    closes, negative opens). A step lasts 50 ms. The reward is 1 on success, else 0; success terminates the
    episode, `max_steps` truncates it; `info["success"]` tells which.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 gymnasium's own convention

    def __init__(
        self,
        task: str | Task,
        observation: ObservationMode = "low_dim",
        seed: int | None = None,
        max_steps: int | None = None,
        fast_rendering: bool = True,
    ) -> None:
        self.task = get_task(task)
        self.render_mode = "rgb_array"
        self.max_steps = self.task.max_steps if max_steps is None else max_steps
        self._keys = self.task.observation(observation)
        self._observation_mode: ObservationMode = observation
        self._fast_rendering = fast_rendering
        self._renderers: dict[tuple[int, int], Renderer] = {}
        self._first_seed = seed
        self._steps = 0
        self.episode_seed: int | None = None
        self.observation_space = gymnasium.spaces.Dict(
            {
                key.name: gymnasium.spaces.Box(0, 255, key.shape, np.uint8)
                if key.type == "rgb"
                else gymnasium.spaces.Box(-np.inf, np.inf, key.shape, np.float32)
                for key in self._keys
            }
        )
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.task.action_dim,), np.float32)

        self._robosuite = import_robosuite()
        self._env = self._robosuite.make(
            self.task.environment_name,
            seed=0,  # Lift draws the size of its cube when the model is made: the same on every worker
            **robosuite_arguments(self.task, images=False),
        )
        # robosuite's sensors cost a fifth of a step; nothing reads them
        self._env._update_observables = lambda force=False: None
        self._env._reset_observables = lambda: None
        self._env._get_observations = lambda force_update=False: {}
        self._seed_robosuite(0)
        self._env.reset()  # places what the model itself holds, such as the outlines in the Can task's bins
        self._load(portable_model_xml(self._env.sim.model.get_xml()))
        self._own_model_xml = self.model_xml
        if observation == "image":
            self._renderer(IMAGE_SIZE, IMAGE_SIZE)

    # ------------------------------------------------------------------ gymnasium

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begins an episode drawn from a seed.

        Args:
            seed: the episode's seed: the same seed gives the same first state. Without one, seeds follow
                each other from the last one given (to `make_env` or here).
            options: not used.

        Returns:
            The first observation, and `{"success": False, "seed": the episode's seed}`.
        """
        if seed is None and self._first_seed is not None:
            seed = self._first_seed
        self._first_seed = None
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        self.episode_seed = seed
        if self.model_xml != self._own_model_xml:  # a replay has put another model in
            self._load(self._own_model_xml)
        self._seed_robosuite(seed)
        self._env.reset()
        self._begin(self.get_state())
        return self._observe(self._keys), {"success": False, "seed": seed}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Executes one action, for 50 ms.

        Args:
            action: a delta action (7,) in [-1, 1], what lies beyond being clipped by the controller; or an
                absolute one (10,), turned into the delta that leads from the hand's present pose to its goal
                (see `ddpm_edu.data.actions`).

        Returns:
            Observation, reward, terminated, truncated, `{"success": bool}`.

        Raises:
            SimulatorError: if the action has another shape or holds numbers that are not finite.
        """
        action = np.asarray(action, dtype=np.float64)
        if not np.isfinite(action).all():
            raise SimulatorError(f"the action holds numbers that are not finite: {action.tolist()}")
        if action.shape == (ABSOLUTE_ACTION_DIM,):
            action = self._delta(action)
        if action.shape != (self.task.action_dim,):
            raise SimulatorError(
                f"the action has shape {action.shape}; "
                f"the {self.task.title} task wants ({self.task.action_dim},), or "
                f"({ABSOLUTE_ACTION_DIM},) for an absolute one"
            )
        self._env.step(action)
        self._sensors.refresh()
        self._steps += 1
        success = self.is_success()
        truncated = not success and self._steps >= self.max_steps
        return self._observe(self._keys), float(success), success, truncated, {"success": success}

    def _delta(self, action: np.ndarray) -> np.ndarray:
        import torch  # only here: processes of simulators do without its half gigabyte

        from ddpm_edu.data.actions import absolute_to_delta

        pose = self.low_dim_observation()
        delta = absolute_to_delta(
            torch.from_numpy(action),
            torch.from_numpy(pose["robot0_eef_pos"]).double(),
            torch.from_numpy(pose["robot0_eef_quat"]).double(),
            self.task,
        )
        return delta.numpy()  # (7,)

    def render(self) -> np.ndarray:
        """The agent view, uint8 (256, 256, 3)."""
        return self.render_frame(256, 256)

    def close(self) -> None:
        """Frees the renderers and the simulator."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
        if self._env is not None:
            self._env.close()
            self._env = None

    # ------------------------------------------------------------------ beyond gymnasium

    def render_frame(self, height: int = 256, width: int = 256, camera: str = "agentview") -> np.ndarray:
        """A picture of the scene as it is now.

        Args:
            height: in pixels.
            width: in pixels.
            camera: "agentview", "robot0_eye_in_hand", "frontview", "sideview" or "birdview".

        Returns:
            uint8 (height, width, 3), upright.

        Raises:
            SimulatorError: if no renderer is available, or there is no such camera.
        """
        return self._renderer(height, width).render(self._env.sim.data._data, camera)

    def camera_pose(self, camera: str = "agentview") -> tuple[np.ndarray, np.ndarray, float]:
        """Where a camera is now, for `ddpm_edu.viz.overlay.Camera`.

        Args:
            camera: one of those of `render_frame`.

        Returns:
            Position (3,) in metres; rotation (3, 3), whose columns are the camera's right, up and backward
            directions in the world; vertical field of view in degrees.
        """
        sim = self._env.sim
        index = sim.model.camera_name2id(camera)
        rotation = np.array(sim.data.cam_xmat[index]).reshape(3, 3)
        return np.array(sim.data.cam_xpos[index]), rotation, float(sim.model.cam_fovy[index])

    def is_success(self) -> bool:
        """Whether the task is solved in the present state."""
        return bool(self._env._check_success())

    def low_dim_observation(self) -> dict[str, np.ndarray]:
        """The task's low-dim observation of the present state, whichever one the environment returns."""
        return self._observe(self.task.low_dim)

    def get_state(self) -> np.ndarray:
        """The simulator's state: time, positions and velocities of all joints, float64."""
        return np.array(self._env.sim.get_state().flatten())

    def reset_to(self, state: np.ndarray, model_xml: str | None = None) -> dict[str, np.ndarray]:
        """Begins an episode from a recorded state, as robomimic's `reset_to` does.

        Args:
            state: flattened simulator state, as `get_state` returns and robomimic's `states` hold.
            model_xml: the model that the state belongs to (robomimic's `model_file`); if None, the
                present one.

        Returns:
            The observation of that state.

        Raises:
            SimulatorError: if the model cannot be loaded, or the state does not belong to it.
        """
        if model_xml is not None and model_xml != self.model_xml:
            self._load(model_xml)
        model = self._env.sim.model
        expected = 1 + model.nq + model.nv
        state = np.asarray(state, dtype=np.float64)
        if state.shape != (expected,):
            raise SimulatorError(
                f"the state has shape {state.shape}; the {self.task.title} model wants ({expected},): time, "
                f"{model.nq} positions, {model.nv} velocities. Give the recorded model_xml as well"
            )
        self._begin(state)
        return self._observe(self._keys)

    def set_state(
        self, state: np.ndarray, keys: tuple[ObservationKey, ...] | None = None
    ) -> dict[str, np.ndarray]:
        """Puts a recorded state of the same model in place, to look at it; cheaper than `reset_to`.

        Args:
            state: flattened simulator state.
            keys: what to observe, such as `task.low_dim`, which needs no renderer; if None, what the
                environment returns.

        Returns:
            The observation of that state.
        """
        self._env.sim.set_state_from_flattened(np.asarray(state, dtype=np.float64))
        self._env.sim.forward()
        return self._observe(self._keys if keys is None else keys)

    def env_args(self, observation: ObservationMode | None = None) -> dict[str, Any]:
        """The description that robomimic stores beside demonstrations (`env_args`) and rebuilds them from.

        Args:
            observation: "image" for an environment that renders; this environment's own mode if None.
        """
        images = (observation or self._observation_mode) == "image"
        return {
            "env_name": self.task.environment_name,
            "env_version": self._robosuite.__version__,
            "type": 1,  # robomimic's EnvType.ROBOSUITE_TYPE
            "env_kwargs": robosuite_arguments(self.task, images),
        }

    # ------------------------------------------------------------------ inside

    def _seed_robosuite(self, seed: int) -> None:
        # in place, because the placement samplers hold the same generator
        self._env.rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state

    def _load(self, model_xml: str) -> None:
        try:
            own = with_own_assets(model_xml, robosuite_assets())
            self._env.reset_from_xml_string(self._env.edit_model_xml(own))
        except Exception as error:
            self.model_xml = ""  # the next reset loads the task's own model again
            raise SimulatorError(
                f"robosuite {self._robosuite.__version__} cannot load the recorded model of the "
                f"{self.task.title} task ({first_line(error)}); it may come from another version of robosuite"
            ) from error
        self.model_xml = model_xml
        self._model_poses = (
            self._env.sim.model.body_pos.copy(),
            self._env.sim.model.body_quat.copy(),
        )
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
        self._sensors = Sensors(self._env, self.task)

    def _begin(self, state: np.ndarray) -> None:
        """Sets a state into a simulator that remembers nothing of what came before."""
        env = self._env
        env.deterministic_reset = True
        env.reset()
        env.deterministic_reset = False
        # robosuite writes the bodies that stand in the model anew, to all digits; a replay reads them from
        # the XML, which holds fewer
        env.sim.model.body_pos[:], env.sim.model.body_quat[:] = self._model_poses
        env.sim.reset()
        env.sim.set_state_from_flattened(state)
        env.sim.forward()
        self._steps = 0

    def _observe(self, keys: tuple[ObservationKey, ...]) -> dict[str, np.ndarray]:
        sign_of_life()
        low_dim = self._sensors.read()
        observation = {}
        for key in keys:
            if key.type == "rgb":
                renderer = self._renderer(IMAGE_SIZE, IMAGE_SIZE)
                image = renderer.render(self._env.sim.data._data, key.name.removesuffix("_image"))
                observation[key.name] = np.moveaxis(image, -1, 0)  # (84, 84, 3) -> (3, 84, 84)
            else:
                observation[key.name] = low_dim[key.name]
        return observation

    def _renderer(self, height: int, width: int) -> Renderer:
        if (height, width) not in self._renderers:
            self._renderers[height, width] = Renderer(
                self._env.sim.model._model, height, width, fast=self._fast_rendering
            )
        return self._renderers[height, width]
