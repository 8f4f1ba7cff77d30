"""A point in the world lands on the pixel where the simulator draws it."""

import matplotlib.figure
import numpy as np
import pytest

from ddpm_edu.errors import ConfigError
from ddpm_edu.simulation.env import make_env
from ddpm_edu.viz.overlay import Camera, draw_paths, hand_path

SIZE = 256


@pytest.fixture(scope="module")
def env():
    simulator = make_env("can")
    simulator.reset(seed=0)
    yield simulator
    simulator.close()


@pytest.mark.parametrize("name", ["agentview", "frontview", "birdview"])
def test_the_can_is_drawn_where_it_is_projected(env, name):
    state = env.get_state()
    address, _ = env._env.sim.model.get_joint_qpos_addr("Can_joint0")
    away = state.copy()
    away[1 + address + 2] += 50.0
    env.set_state(away)
    without = env.render_frame(SIZE, SIZE, name).astype(int)
    for shift in (0.0, 0.08):
        there = state.copy()
        there[1 + address : 1 + address + 3] = (
            0.05 + shift,
            -0.25 + shift,
            1.1 + shift,
        )  # in the air: all of it is seen
        env.set_state(there)
        changed = np.abs(env.render_frame(SIZE, SIZE, name).astype(int) - without).sum(axis=2) > 30
        rows, columns = np.nonzero(changed)
        drawn = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
        camera = Camera(*env.camera_pose(name), SIZE, SIZE)
        projected = camera.project(env.low_dim_observation()["object"][:3])
        assert np.abs(projected - drawn).max() < 3, (projected, drawn)
    env.set_state(state)


def test_projection_in_closed_form():
    camera = Camera(np.zeros(3), np.eye(3), 90.0, 101, 201)  # looks along -z; focal length 50.5
    assert camera.project([0, 0, -2]) == pytest.approx([100, 50])
    assert camera.project([2, 0, -2]) == pytest.approx([150.5, 50])
    assert camera.project([0, 2, -2]) == pytest.approx([100, -0.5])  # the picture's upper edge
    assert np.isnan(camera.project([0, 0, 1])).all()
    with pytest.raises(ConfigError, match="3 entries"):
        camera.project([1, 2])


def test_a_path_adds_up_what_the_controller_accepts():
    action = np.array([[1.0, 0, 0, 9, 9, 9, 1], [3.0, -1, 0, 9, 9, 9, 1]])
    assert hand_path([1, 1, 1], action, 0.01) == pytest.approx(
        np.array([[1, 1, 1], [1.01, 1, 1], [1.02, 0.99, 1]])
    )


def test_paths_are_drawn_over_the_whole_picture():
    camera = Camera(np.zeros(3), np.eye(3), 90.0, 50, 50)
    figure = matplotlib.figure.Figure(figsize=(4, 4.3))
    draw_paths(
        figure, np.zeros((50, 50, 3), np.uint8), camera, [np.array([[0, 0, -1], [0.1, 0, -1]])], "k = 3"
    )
    axes = figure.axes[0]
    assert (*axes.get_xlim(), *axes.get_ylim()) == (-0.5, 49.5, 49.5, -0.5)
    assert [text.get_text() for text in figure.texts] == ["k = 3"]
