import matplotlib
import numpy as np
import pytest
import torch

from ddpm_edu.errors import ConfigError
from ddpm_edu.factory import make_policy
from ddpm_edu.simulation.results import Episode, RolloutResult
from ddpm_edu.tasks import CAN
from ddpm_edu.viz import figures
from ddpm_edu.viz.denoising import Denoising, decisive_step, look_ahead, watch_denoising
from ddpm_edu.viz.style import LINES

LOG = [
    {"step": 50, "loss": 1.0, "learning_rate": 1e-4},
    {"step": 100, "loss": 0.1},
    {"step": 100, "validation_loss": 0.2},
    {"step": 150, "validation_loss": float("nan")},
]


def result(outcomes: str) -> RolloutResult:
    episodes = tuple(
        Episode(100 + i, mark == "+", 100 + 10 * i if mark == "+" else 400) for i, mark in enumerate(outcomes)
    )
    return RolloutResult("can", "low_dim", episodes, 0, (0.1,), 16, 10, 1.0, 1)


def denoising() -> Denoising:
    trajectories = np.random.default_rng(0).standard_normal((11, 16, 7))
    return Denoising(CAN, (*range(90, -1, -10), -1), trajectories, n_obs_steps=2, n_action_steps=8)


ALL = {
    "learning_curve": lambda: figures.learning_curve(LOG),
    "denoising_trajectory": lambda: figures.denoising_trajectory(denoising()),
    "success_rates": lambda: figures.success_rates({"UNet": result("++-"), "transformer": result("---")}),
    "episode_lengths": lambda: figures.episode_lengths(result("++-")),
}


@pytest.mark.parametrize("name", ALL)
def test_figures_leave_matplotlib_as_it_was(name):
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    figure = ALL[name]()
    figure.canvas.draw()
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []
    labels = [axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes] + [figure.get_supxlabel()]
    assert any(labels)


def test_the_legend_of_a_loss_that_hardly_falls_hides_no_line():
    log = [{"step": step, "loss": 0.035 - 1e-6 * step} for step in range(0, 3001, 50)]
    log += [{"step": step, "validation_loss": 0.037} for step in (1000, 2000, 3000)]
    figure = figures.learning_curve(log)
    figure.canvas.draw()
    (axes,) = figure.axes
    box = axes.get_legend().get_window_extent()
    for line in axes.lines:
        assert not axes.transData.transform_path(line.get_path()).intersects_bbox(box, filled=False)


def test_learning_curve_shows_the_log():
    figure = figures.learning_curve(LOG)
    training, validation = figure.axes[0].lines
    assert training.get_xydata().tolist() == [[50, 1.0], [100, 0.1]]
    assert validation.get_xydata().tolist() == [[100, 0.2]]  # nan: no held-out demonstrations
    assert figure.get_suptitle() == "The loss fell from 1 to 0.1 in 100 steps"
    with pytest.raises(ConfigError, match="no loss"):
        figures.learning_curve([{"step": 1, "learning_rate": 0.1}])


def test_a_loss_that_hardly_falls_has_numbers_at_its_axis():
    figure = figures.learning_curve([{"step": 50, "loss": 0.042}, {"step": 100, "loss": 0.028}])
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_ylim()
    ticks = figure.axes[0].yaxis.get_minor_ticks()
    shown = [tick.label1.get_text() for tick in ticks if low <= tick.get_loc() <= high]
    assert [text for text in shown if text] == ["0.03", "0.04"]


def test_denoising_shows_physical_units_and_the_executed_actions():
    shown = denoising()
    figure = figures.denoising_trajectory(shown, columns=3)
    grid = np.array(figure.axes).reshape(3, 3)
    assert [axes.get_title("center") for axes in grid[0]] == ["k = 90, noise", "k = 40", "result"]
    entry = {"x": 0, "y": 1, "z": 2}
    for row, unit in enumerate([100 * 0.05, np.rad2deg(0.5)]):  # cm and degrees for an entry of 1
        lines = [line for line in grid[row, 2].lines if line.get_label() in entry]
        assert len(lines) == 3
        for line in lines:
            expected = shown.trajectories[-1, :, 3 * row + entry[line.get_label()]] * unit
            np.testing.assert_allclose(line.get_ydata(), expected)
            assert line.get_xdata()[1] == 0  # index To-1 is now
    span = grid[0, 0].patches[0]
    first, last = span.get_x(), span.get_x() + span.get_width()
    time = lines[0].get_xdata()
    assert np.flatnonzero((time > first) & (time < last)).tolist() == list(range(1, 9))  # To-1 on, Ta of them


def test_episode_lengths_marks_every_episode():
    axes = figures.episode_lengths(result("+++--")).axes[0]
    counts = {line.get_label(): len(line.get_xdata()) for line in axes.lines}
    assert counts == {"success (3)": 3, "failure (2)": 2}
    placed = {tuple(point) for line in axes.lines for point in line.get_xydata().tolist()}
    assert len(placed) == 5  # none hides another


def test_lines_differ_without_colour():
    luminance = [np.dot(matplotlib.colors.to_rgb(line.color), (0.2126, 0.7152, 0.0722)) for line in LINES[:3]]
    assert np.diff(luminance).min() > 0.1
    assert len({line.linestyle for line in LINES}) == len({line.marker for line in LINES}) == len(LINES)


def test_watching_keeps_every_level():
    torch.manual_seed(0)
    policy = make_policy(
        "can", down_dims=(8, 16), n_groups=4, diffusion_step_embed_dim=8, num_inference_steps=4
    )
    obs = {key.name: torch.zeros(1, 2, *key.shape) for key in CAN.low_dim}
    watched = watch_denoising(policy, obs, seed=3)
    assert watched.trajectories.shape == (5, 16, 7)
    assert watched.timesteps[-1] == -1
    assert list(watched.timesteps) == sorted(watched.timesteps, reverse=True)
    result = policy.predict_action(obs, generator=torch.Generator().manual_seed(3))["action_pred"]
    np.testing.assert_array_equal(watched.trajectories[-1], result[0])


def test_watching_and_looking_ahead_tell_a_policy_what_it_did():
    torch.manual_seed(0)
    told = {"conditioning": "inpainting", "past_action_visible": True, "n_obs_steps": 3}
    policy = make_policy(
        "can", **told, down_dims=(8, 16), n_groups=4, diffusion_step_embed_dim=8, num_inference_steps=2
    )
    seen = {key.name: np.zeros(key.shape, np.float32) for key in CAN.low_dim}
    obs = {key: torch.zeros(1, 3, *value.shape) for key, value in seen.items()}
    done = np.random.default_rng(0).uniform(-1, 1, (4, 7)).astype(np.float32)
    rest = np.array([0, 0, 0, 0, 0, 0, -1], np.float32)
    for actions, before in ((done, done[2:]), (done[:1], [rest, done[0]]), ([], [rest, rest])):
        watched = watch_denoising(policy, obs, seed=3, actions=actions)
        np.testing.assert_allclose(watched.trajectories[-1, :2], before, atol=1e-6)
        noises = [torch.Generator().manual_seed(3) for _ in range(2)]
        _, levels, first = look_ahead(policy, [seen] * (len(actions) + 1), actions, noises)
        np.testing.assert_allclose(levels[:, 0], watched.trajectories[:, 2:], atol=5e-3)
        np.testing.assert_allclose(first, levels[-1, 0, :8], atol=1e-6)
    with pytest.raises(ConfigError, match="past_action is missing"):
        watch_denoising(policy, obs)


def test_decisive_step_is_the_decision_that_closes_the_hand():
    actions = np.full((50, 7), -1.0)
    assert decisive_step(Episode(0, True, 50, actions), 8) == 24  # never: the middle one
    actions[30:, -1] = 1
    assert decisive_step(Episode(0, True, 50, actions), 8) == 24
    actions[10:, -1] = 1
    assert decisive_step(Episode(0, True, 50, actions), 8) == 8
