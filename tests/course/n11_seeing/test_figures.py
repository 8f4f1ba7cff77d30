"""Pictures of seeing: the camera read off a model's text, and what the figures draw."""

import h5py
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ddpm_edu.course.n11_seeing import figures
from ddpm_edu.errors import ConfigError
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.simulation.env import make_env
from ddpm_edu.viz.overlay import Camera

IMAGE = np.full((84, 84, 3), 200, dtype=np.uint8)


def test_the_camera_of_a_model_is_the_simulators():
    with h5py.File(shipped_demonstrations("can", "image")) as file:
        read = figures.fixed_camera(file["data/demo_0"].attrs["model_file"], "agentview", 84, 84)
    env = make_env("can")
    env.reset(seed=0)
    simulated = Camera(*env.camera_pose("agentview"), 84, 84)
    env.close()
    points = np.random.default_rng(0).uniform((-0.2, -0.4, 0.8), (0.3, 0.4, 1.2), (50, 3))
    np.testing.assert_allclose(read.project(points), simulated.project(points), atol=1e-3)


def test_a_camera_with_what_mujoco_leaves_out():
    quat = Rotation.from_euler("xyz", (0.3, -0.5, 1.0))
    x, y, z, w = quat.as_quat()
    model = f"""<mujoco><worldbody>
        <camera name="plain"/><camera name="turned" pos="1 2 3" quat="{w} {x} {y} {z}" fovy="75"/>
        <body><camera name="carried"/></body></worldbody></mujoco>"""
    plain = figures.fixed_camera(model, "plain", 10, 20)
    assert (plain.fovy, plain.height, plain.width) == (45.0, 10, 20)
    np.testing.assert_array_equal(plain.rotation, np.eye(3))
    turned = figures.fixed_camera(model, "turned", 10, 10)
    assert (turned.fovy, turned.position.tolist()) == (75, [1, 2, 3])
    np.testing.assert_allclose(turned.rotation, quat.as_matrix(), atol=1e-12)
    with pytest.raises(ConfigError, match=r"no fixed camera 'carried'.*plain"):
        figures.fixed_camera(model, "carried", 10, 10)  # it moves with a body: its pose is not in the text
    with pytest.raises(ConfigError, match="not XML"):
        figures.fixed_camera("<mujoco>", "plain", 10, 10)


def test_the_encoder_draws_maps_to_scale():
    stages = {"camera": (3, 84, 84), "map": (64, 21, 21), "keypoints": (32, 2), "features": (64,)}
    figure = figures.plot_encoder(stages, "text")
    sides = [patch.get_width() for patch in figure.axes[0].patches]
    assert sides[0] / sides[1] == pytest.approx(4)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert {"64 maps\n21 x 21", "32 points\n(x, y)", "64\nnumbers"} <= set(shown)


def test_crops_count_offsets():
    offsets = {"all": np.stack([np.arange(9), np.arange(9)], 1), "short": np.zeros((5, 2), dtype=int)}
    figure = figures.plot_crops(IMAGE, offsets, 76, 8, "text")
    windows, bars = figure.axes[0].patches, figure.axes[1].patches
    assert len(windows) == 7
    assert windows[-1].get_xy() == (3.5, 3.5)  # the centre: offsets of 4, less half a pixel
    heights = [bar.get_height() for bar in bars]
    assert heights == pytest.approx([100 / 9] * 9 + [100] + [0] * 8)


def test_errors_show_mean_and_seeds():
    figure = figures.plot_errors(
        {"a": {"x": [1, 3], "y": [4, 4]}, "b": {"x": [5, 5], "y": [6, 8]}}, "px", "t"
    )
    assert [bar.get_width() for bar in figure.axes[0].patches] == [2, 4, 5, 7]
    assert [text.get_text() for text in figure.axes[0].texts] == ["2.0", "4.0", "5.0", "7.0"]


def test_places_are_drawn_where_they_are():
    points = torch.arange(24.0).reshape(4, 3, 2)
    figure = figures.plot_keypoints(IMAGE, {"before": points, "after": points + 1}, points[:, 0], "text")
    ends = figure.axes[1].lines[-1].get_xydata()
    np.testing.assert_array_equal(ends, points[-1:, -1] + 1)
    figure = figures.plot_resolution([0, 1, 2], {"sharp": [0, 0, 2]}, [0, 2], "text")
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_ydata(), [0, 0, 2])


def test_what_is_not_attended_to_is_dark():
    attention = np.zeros((84, 84))
    attention[40, 40] = 1
    figure = figures.plot_pictures(
        [IMAGE, IMAGE], ["a", "b"], "text", [attention, attention], [(3, 4), (5, 6)]
    )
    picture = figure.axes[0].images[0].get_array()
    assert picture[[40, 0], [40, 0], 0].tolist() == [200, 80]
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_xydata(), [[5, 6]])
