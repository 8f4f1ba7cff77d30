import numpy as np
import pytest
from matplotlib.figure import Figure

from ddpm_edu.errors import ConfigError
from ddpm_edu.paths import shipped_policy
from ddpm_edu.training.checkpoint import load_policy
from ddpm_edu.viz.denoising import play_to
from ddpm_edu.viz.sight import draw_sight, scrub_sight, watch_seeing


def test_plans_begin_at_the_hand_in_the_pictures_that_the_policy_was_given():
    policy = load_policy(shipped_policy("can_cameras"))
    actions = np.tile([0.5, 0, 0, 0, 0, 0, -1.0], (3, 1))
    sight = watch_seeing(policy, 200_000, actions, noises=2)
    with play_to(policy, 200_000, actions) as (simulator, obs):
        hand = simulator.low_dim_observation()["robot0_eef_pos"]
        pose = simulator.camera_pose("robot0_eye_in_hand")
    assert list(sight.views) == ["agentview", "robot0_eye_in_hand"]
    for name, (picture, camera) in sight.views.items():
        assert np.array_equal(picture, obs[f"{name}_image"][0, -1].permute(1, 2, 0).numpy())
        assert (camera.project(hand) < 84).all()  # inside the picture
    np.testing.assert_array_equal(sight.views["robot0_eye_in_hand"][1].position, pose[0])
    assert sight.paths.shape == (len(sight.timesteps), 2, policy.horizon - policy.n_obs_steps + 2, 3)
    np.testing.assert_allclose(sight.paths[:, :, 0], np.broadcast_to(hand, sight.paths[:, :, 0].shape))

    figure = Figure()
    draw_sight(figure, sight, -1)
    assert [axes.get_title() for axes in figure.axes] == list(sight.views)
    assert figure.texts[0].get_text() == "the result"

    widget = scrub_sight(sight, still=(0, -1))
    assert len(widget.stack.children) == len(sight.timesteps)
    assert widget.still.alt.endswith(": “k = 99: pure noise”; “the result”.")


def test_a_policy_without_cameras_is_refused():
    with pytest.raises(ConfigError, match="has observation 'low_dim'"):
        watch_seeing(load_policy(shipped_policy("can_unet")), 200_000)
