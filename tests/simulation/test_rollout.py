"""Rollouts in the real simulator, with a small network of random weights as the policy."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from ddpm_edu.data.actions import matrix_to_rotation_6d, quaternion_to_matrix
from ddpm_edu.errors import ConfigError, DatasetError, SimulatorError
from ddpm_edu.reporting.report import refuse_foreign_report
from ddpm_edu.simulation.env import make_env
from ddpm_edu.simulation.replay import choose_episodes, film_episode
from ddpm_edu.simulation.results import Episode, RolloutResult
from ddpm_edu.simulation.rollout import BATCH, rollout
from ddpm_edu.tasks import CAN

SHORT = replace(CAN, max_steps=20)


class RandomPolicy:
    """Smooth random motion that depends on every observation and on the noise."""

    n_obs_steps, n_action_steps, action_dim = 2, 8, 7
    device = torch.device("cpu")
    config = SimpleNamespace(observation="low_dim", needs_past_action=False)

    def __init__(self, on_call=lambda calls: None):
        generator = torch.Generator().manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2 * 23 + 7, 64), nn.Mish(), nn.Linear(64, 7))
        for parameter in self.net.parameters():
            nn.init.normal_(parameter, std=0.2, generator=generator)
        self.calls, self.on_call = 0, on_call

    @torch.no_grad()
    def predict_action(self, obs, generator):
        self.calls += 1
        self.on_call(self.calls)
        shapes = {key: tuple(value.shape[:2]) for key, value in obs.items()}
        assert set(shapes.values()) == {(BATCH, self.n_obs_steps)}
        noise = torch.stack([torch.randn(7, generator=one) for one in generator])  # (B, Da)
        features = torch.cat([value.flatten(1) for value in obs.values()] + [noise], dim=1)
        action = self.net(features).tanh()  # (B, Da)
        return {"action": action[:, None].repeat(1, self.n_action_steps, 1)}  # (B, Ta, Da)


@pytest.fixture(scope="module")
def undisturbed():
    return rollout(RandomPolicy(), SHORT, episodes=3, first_seed=7, workers=2, progress=False)


def same(one, other):
    return one == other and all(np.array_equal(a.actions, b.actions) for a, b in zip(one, other, strict=True))


def test_same_seeds_give_the_same_episodes_whatever_the_workers(undisturbed):
    alone = rollout(RandomPolicy(), SHORT, episodes=2, first_seed=7, workers=1, progress=False)
    assert [episode.seed for episode in undisturbed.episodes] == [7, 8, 9]
    assert all(episode.length == SHORT.max_steps for episode in undisturbed.episodes)
    assert undisturbed.chunks == 3 * 3  # 20 steps are chunks of 8, 8 and 4
    assert same(alone.episodes, undisturbed.episodes[:2])
    other_noise = rollout(RandomPolicy(), SHORT, 2, first_seed=7, workers=1, noise_seed=1, progress=False)
    assert not same(alone.episodes, other_noise.episodes)


def test_policy_sees_the_last_observations_and_its_actions_are_executed(undisturbed):
    """The episode, played by hand in one simulator with the same policy, is the same."""
    simulator, policy = make_env(SHORT), RandomPolicy()
    now, _ = simulator.reset(seed=8)
    history, actions = [now, now], []
    mixed = np.random.SeedSequence((0, 8)).generate_state(1, np.uint64)[0]
    noise = torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
    while len(actions) < SHORT.max_steps:
        obs = {
            key: torch.from_numpy(np.stack([step[key] for step in history[-2:]]))[None].repeat(BATCH, 1, 1)
            for key in now
        }
        chunk = policy.predict_action(obs, [noise] + [torch.Generator()] * (BATCH - 1))["action"][0]
        for action in chunk[: SHORT.max_steps - len(actions)].numpy():
            now, *_ = simulator.step(action)
            history.append(now)
            actions.append(action)
    simulator.close()
    np.testing.assert_array_equal(undisturbed.episodes[1].actions, actions)


def test_success_ends_an_episode():
    """A scripted expert, asked at every step, succeeds; and what it did can be played again."""

    class Expert(RandomPolicy):
        n_obs_steps, n_action_steps, expert = 1, 1, None

        def predict_action(self, obs, generator):
            now = {key: value[0, 0].numpy() for key, value in obs.items()}  # row 0 holds the only episode
            self.expert = self.expert or CAN.make_expert(now, np.random.default_rng(0))
            return {"action": torch.from_numpy(self.expert(now)).float().repeat(BATCH, 1, 1)}

    result = rollout(Expert(), "can", episodes=1, workers=1, progress=False)
    (episode,) = result.episodes
    assert episode.success
    assert 50 < episode.length < CAN.max_steps
    assert len(episode.actions) == episode.length == result.chunks
    assert result.success_rate == 1
    assert str(result) == "1 of 1 episodes succeeded: 100% (95 % interval 21% to 100%)"
    film_episode(episode, "can", size=16, every=1000)  # raises if it does not end as it did


def test_images_and_past_actions_reach_a_policy_that_wants_them():
    class Curious(RandomPolicy):
        n_obs_steps, n_action_steps = 3, 2
        config = SimpleNamespace(
            observation="image",
            action="delta",
            needs_past_action=True,
        )
        seen, given = [], []

        def predict_action(self, obs, generator, past_action):
            self.seen.append({key: value[0] for key, value in obs.items()})
            self.given.append(past_action[0])
            count = len(self.seen)
            action = torch.tensor([[count + 0.1], [count + 0.2]]).repeat(1, 7) / 10  # (Ta, Da)
            return {"action": action.repeat(BATCH, 1, 1)}

    policy = Curious()
    rollout(policy, replace(CAN, max_steps=4), episodes=1, workers=1, progress=False)
    first, second = policy.seen
    image = first["agentview_image"]
    assert image.dtype == torch.uint8
    assert image.shape == (3, 3, 84, 84)  # (To, 3, height, width)
    assert image.float().std() > 10
    assert torch.equal(image[0], image[2])  # the first observation stands repeated
    assert torch.equal(second["agentview_image"][0], image[2])  # two steps later it is the oldest
    still, executed = policy.given
    assert still.tolist() == [[0, 0, 0, 0, 0, 0, -1]] * 2  # To-1 of them, the hand open
    torch.testing.assert_close(executed[:, 0], torch.tensor([0.11, 0.12]))


def test_before_the_first_absolute_action_the_hand_wants_to_stay_where_it_is():
    given = []

    class Curious(RandomPolicy):
        n_obs_steps, n_action_steps, action_dim = 3, 1, 10
        config = SimpleNamespace(
            observation="low_dim",
            action="absolute",
            needs_past_action=True,
        )

        def predict_action(self, obs, generator, past_action):
            position, rotation = obs["robot0_eef_pos"][0], quaternion_to_matrix(obs["robot0_eef_quat"][0])
            stay = torch.cat([position, matrix_to_rotation_6d(rotation), -torch.ones(3, 1)], dim=-1)
            given.append((past_action[0], stay))  # (To-1, Da), (To, Da)
            return {"action": stay[-1:].repeat(BATCH, 1, 1)}

    rollout(Curious(), replace(CAN, max_steps=3), episodes=1, workers=1, progress=False)
    (first, stay), (second, later), _ = given
    torch.testing.assert_close(first, stay[:2])
    torch.testing.assert_close(second, torch.stack([later[0], stay[-1]]))  # one rest, and what was executed


def test_dead_simulator_is_restarted_and_its_episode_repeated(undisturbed, capfd):
    def kill_one(calls):
        if calls == 2:
            victim = multiprocessing.active_children()[0]
            os.kill(victim.pid, signal.SIGKILL)
            victim.join()

    result = rollout(RandomPolicy(kill_one), SHORT, episodes=2, first_seed=7, workers=2, progress=False)
    assert result.restarts == 1
    assert same(result.episodes, undisturbed.episodes[:2])
    said = capfd.readouterr().err
    assert "simulator process" in said
    assert "of 2 died (SIGKILL); it is replaced, and its work done again (seeds " in said


def test_a_simulator_that_hangs_is_replaced_and_its_episode_repeated(undisturbed, capfd, monkeypatch):
    monkeypatch.setenv("DDPM_EDU_PATIENCE", "20")

    def stop_one(calls):
        if calls == 2:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGSTOP)

    result = rollout(RandomPolicy(stop_one), SHORT, episodes=2, first_seed=7, workers=2, progress=False)
    assert result.restarts == 1
    assert same(result.episodes, undisturbed.episodes[:2])
    assert "of 2 gave no sign for 2" in capfd.readouterr().err


def test_policy_that_gives_nan_is_refused_in_one_line(capfd):
    policy = RandomPolicy()
    policy.net[2].bias.data[0] = torch.nan
    with pytest.raises(SimulatorError, match="not finite"):
        rollout(policy, SHORT, episodes=1, workers=1, progress=False)
    assert "Traceback" not in capfd.readouterr().err
    assert multiprocessing.active_children() == []


def test_interrupt_stops_cleanly(tmp_path):
    script = tmp_path / "interrupted.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "import multiprocessing\n"
        "from test_rollout import CAN, RandomPolicy, rollout\n"
        "def say(calls):\n"
        "    print(*[child.pid for child in multiprocessing.active_children()], flush=True)\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        "        rollout(RandomPolicy(say), CAN, episodes=2, workers=2)\n"
        "    except KeyboardInterrupt:\n"
        "        sys.exit(130)\n"
    )
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(workers) == 2
    os.killpg(process.pid, signal.SIGINT)  # what a terminal sends: to the workers as well
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "Error" not in said
    for _ in range(50):
        if not any(os.path.exists(f"/proc/{pid}") for pid in workers):
            break
        time.sleep(0.1)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"episodes": 0}, "episodes is 0; it must be at least 1"),
        ({"workers": 0}, "workers is 0"),
        ({"task": "tool_hang"}, "task is 'tool_hang'"),
        ({"observation": "sound"}, "observation is 'sound'"),
    ],
)
def test_refuses_bad_numbers(changed, message):
    with pytest.raises(ConfigError, match=message):
        rollout(**{"policy": RandomPolicy(), "task": "can", "episodes": 1, **changed})


def test_result_is_kept_and_read(tmp_path, undisturbed):
    undisturbed.save(tmp_path)
    read = RolloutResult.load(tmp_path)
    assert same(read.episodes, undisturbed.episodes)
    assert read.to_dict() == undisturbed.to_dict()
    assert not list(tmp_path.glob("*.partial"))
    (tmp_path / "rollout.json").write_text("{")
    with pytest.raises(DatasetError, match=r"rollout\.json: not a rollout"):
        RolloutResult.load(tmp_path)
    with pytest.raises(DatasetError, match="there is no rollout"):
        RolloutResult.load(tmp_path / "nowhere")


def test_a_damaged_result_is_one_line(tmp_path):
    episode = Episode(1, True, 300, np.random.default_rng(0).normal(size=(300, 7)))
    RolloutResult("can", "low_dim", (episode,), 0, (0.1,), 16, 1, 1.0, 1).save(tmp_path)
    actions = tmp_path / "rollout_actions.npz"
    whole = actions.read_bytes()
    damaged = [whole[:length] for length in (0, 3, 30, len(whole) // 2, len(whole) - 30)]
    for place in (
        60,
        len(whole) // 2,
        len(whole) - 63,
        len(whole) - 6,
    ):
        damaged.append(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
    numbers = io.BytesIO()
    np.save(numbers, episode.actions)
    for content in (*damaged, numbers.getvalue()):
        actions.write_bytes(content)
        with pytest.raises(DatasetError, match=r"not a rollout that can be read \([^\n]+\); make it again"):
            RolloutResult.load(tmp_path)
        with pytest.raises(ConfigError, match="it is damaged or no rollout wrote it"):
            refuse_foreign_report(tmp_path)
    actions.unlink()
    (tmp_path / "rollout.json").write_text("[" * 100_000)
    with pytest.raises(DatasetError, match="not a rollout that can be read"):
        RolloutResult.load(tmp_path)


def test_recording_plays_the_same_episode(undisturbed):
    episode = undisturbed.episodes[0]
    recording = film_episode(episode, SHORT, size=64, every=8)
    assert recording.frames.shape == (4, 64, 64, 3)  # at 0, 8, 16 and at the end, 20
    assert (recording.frames[0] != recording.frames[-1]).any()
    wrong = replace(episode, success=True)
    with pytest.raises(SimulatorError, match="episode 7 ended with success = True"):
        film_episode(wrong, SHORT, size=16, every=20)


@pytest.mark.parametrize(
    ("outcomes", "count", "chosen"),
    [("++--", 4, "++--"), ("++++-", 4, "+++-"), ("+---", 4, "+---"), ("----", 2, "--"), ("+-+-", 2, "+-")],
)
def test_chosen_episodes_show_both_outcomes(outcomes, count, chosen):
    episodes = tuple(Episode(seed, mark == "+", 1) for seed, mark in enumerate(outcomes))
    assert "".join("+" if one.success else "-" for one in choose_episodes(episodes, count)) == chosen
