"""Eyes for a state policy: taught, stopped and taught on, practised with."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import h5py
import pytest
import torch
from signals import killing, sending

from ddpm_edu.cli import main
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import BusyError, ConfigError, TrainingError, UserError
from ddpm_edu.files import only_writer
from ddpm_edu.paths import DATA, shipped_demonstrations
from ddpm_edu.settings import override
from ddpm_edu.training import pose
from ddpm_edu.training.checkpoint import list_checkpoints, load_policy, read_checkpoint, write_policy
from ddpm_edu.training.log import read_log
from ddpm_edu.training.pose import Frames, PoseTeacher, pose_errors, pose_loss, seeing_config, seeing_policy
from ddpm_edu.training.practice import state_view, write_down
from ddpm_edu.training.resume import save_finite
from ddpm_edu.training.trainer import Trainer

TEACHER, PICTURES = DATA / "policies" / "can_transformer", shipped_demonstrations("can", "image")


@pytest.fixture(scope="module")
def frames():
    return Frames([PICTURES], "can", "train"), Frames([PICTURES], "can", "valid")


def make(frames, run_dir, given=None, **training):
    config = seeing_config(read_checkpoint(TEACHER, training=False).config, "small")
    settings = {
        "steps": 6,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "warmup_steps": 0,
        "mixed_precision": "no",
    }
    settings |= {"log_every": 1, "validate_every": 6, "checkpoint_every": 3, **training}
    config = override(config, **settings)
    torch.manual_seed(0)
    return PoseTeacher(config, seeing_policy(config, load_policy(TEACHER)), run_dir, *frames, given=given)


def test_a_stopped_teaching_goes_on_as_if_it_had_not_been(frames, tmp_path):
    whole = make(frames, tmp_path / "whole")
    before = whole.policy.denoiser.state_dict()["cond_encoder.expand.weight"].clone()
    assert whole.run(progress=False) is None
    parts = make(frames, tmp_path / "parts")
    for _ in range(3):
        parts._train_step()
    parts._save(0.0)
    parts = make(frames, tmp_path / "parts")
    assert parts.step == 3
    parts.run(progress=False)
    ours, theirs = (load_policy(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    # The eyes have learned, the denoiser has stayed.
    assert torch.equal(ours["denoiser.cond_encoder.expand.weight"], before)
    fresh = make(frames, tmp_path / "fresh").policy.state_dict()
    assert not torch.equal(ours["obs_encoder.head.0.weight"], fresh["obs_encoder.head.0.weight"])
    assert read_log(tmp_path / "whole")[-1]["pose_error_mm"] > 0
    with pytest.raises(ConfigError, match=r"batch_size = 8, and 4 is asked for"):
        make(frames, tmp_path / "whole", batch_size=4)


def test_a_stopped_teaching_logs_the_mean_of_all_its_steps(frames, tmp_path, monkeypatch):
    make(frames, tmp_path / "whole", log_every=6).run(progress=False)
    with monkeypatch.context() as patched, killing():
        # While the checkpoint of step 3 is written, and again while the last one is.
        patched.setattr(pose, "save_finite", sending(save_finite, signal.SIGTERM, signal.SIGTERM))
        parts = make(frames, tmp_path / "parts", log_every=6)
        assert (parts.run(progress=False), parts.step) == ("terminated", 3)
    assert make(frames, tmp_path / "parts", log_every=6).run(progress=False) is None
    whole, parts = (
        [entry["loss"] for entry in read_log(tmp_path / name) if "loss" in entry]
        for name in ("whole", "parts")
    )
    assert parts == whole
    # A checkpoint from before the losses were kept opens.
    newest = list_checkpoints(tmp_path / "parts" / "checkpoints")[-1]
    about, state = (newest / name for name in ("policy.json", "training.json"))
    state.write_text(state.read_text().replace('"losses"', '"from_before"'))
    said = json.loads(about.read_text())
    del said["sha256"]
    about.write_text(json.dumps(said))
    assert make(frames, tmp_path / "parts", log_every=6).step == 6


def test_a_folder_of_other_things_is_not_taught_in(frames, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"holds thesis\.tex and nothing that this command has written"):
        make(frames, tmp_path).run(progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_errors_are_measured_in_metres_and_radians(frames, tmp_path, monkeypatch):
    from ddpm_edu.observation.object_pose import LENGTH, pose_in_hand

    policy = make(frames, tmp_path).policy
    rows = []

    def off_by_two_millimetres(obs, generator=None):
        start = sum(rows)
        rows.append(len(obs["robot0_eef_pos"]))
        truth = pose_in_hand(frames[1].object[start : start + rows[-1]])
        return truth + torch.tensor([0.002 / LENGTH, *[0.0] * 8])

    monkeypatch.setattr(policy.obs_encoder, "estimate", off_by_two_millimetres)
    errors = pose_errors(policy, frames[1], most=len(frames[1]))
    assert errors.distance == pytest.approx((0.002, 0.002), abs=1e-5)
    assert max(errors.turn) < 1e-3
    assert "2.0 mm" in str(errors)


def test_a_place_near_the_hand_counts_more():
    near, far = torch.zeros(1, 9), torch.zeros(1, 9)
    far[0, 0] = 4.0
    error = torch.tensor([[0.0, 0.5, 0.0, *[0.0] * 6]])
    assert pose_loss(near + error, near) == pytest.approx(float(5 * pose_loss(far + error, far)))
    assert pose_loss(near, near) == 0


def test_told_demonstrations_are_what_the_eyes_see_and_the_same_actions(frames, tmp_path):
    policy = make(frames, tmp_path / "eyes").policy.eval()
    states = shipped_demonstrations("can")
    eyes, told = {"sha256": "a" * 64}, tmp_path / "told.hdf5"
    write_down(policy, eyes, PICTURES, [states], told)
    before = told.stat()
    write_down(policy, eyes, PICTURES, [states], told)
    assert told.stat().st_mtime_ns == before.st_mtime_ns
    for mine, files, seed, wrong in (
        (
            eyes,
            [states],
            1,
            r"told.hdf5 was made with --seed 0, and 1 is asked for; choose",
        ),
        (eyes, [], 0, r"was made from other --states \(by content\)"),
        ({"sha256": "b" * 64}, [states], 0, r"was made from other --eyes \(by content\)"),
    ):
        with pytest.raises(ConfigError, match=wrong):
            write_down(policy, mine, PICTURES, files, told, seed)
    with only_writer(told), pytest.raises(BusyError):
        write_down(policy, eyes, PICTURES, [states], told)
    seen = Demonstrations.read(PICTURES, "can", "image", filter_key="valid")
    told = Demonstrations.read(tmp_path / "told.hdf5", "can", filter_key="valid")
    assert (told.action == seen.action).all()
    obs = {key: torch.from_numpy(value) for key, value in seen.obs.items()}
    with torch.no_grad():
        features = policy.obs_encoder(policy.normalizer.normalize(obs))
    inside = state_view(policy)
    again = inside.obs_encoder(
        inside.normalizer.normalize({key: torch.from_numpy(value) for key, value in told.obs.items()})
    )
    assert torch.allclose(features, again, atol=1e-3)
    # Without pictures: the truth, about a millimetre off.
    both = Demonstrations.read(tmp_path / "told.hdf5", "can", filter_key="train").obs["object"]
    truth = Demonstrations.read(states, "can", filter_key="train").obs["object"]
    off = abs(both[-len(truth) :, :3] - truth[:, :3]).mean()
    assert 0.0005 < off < 0.003


def test_a_training_that_begins_from_taught_eyes_sees_what_they_saw(tmp_path):
    """Its normaliser is fitted anew, on the six demonstrations that it has: the hand's readings change."""
    taught = DATA / "policies" / "can_cameras"
    config = read_checkpoint(taught, training=False).config
    config = override(config, data__path=str(PICTURES), data__max_demonstrations=6, steps=2, warmup_steps=0)
    trainer = Trainer(config, tmp_path / "run", init_from=taught)
    before, after = load_policy(taught), trainer.policy.cpu().eval()
    hand = "robot0_eef_pos"
    assert (before.normalizer[hand].center - after.normalizer[hand].center).abs().max() > 0.03  # metres
    frames = Frames([PICTURES], "can", "valid").obs(torch.arange(0, 100, 5))
    # Shipped in 16 bits, and the hand's units, too: a tenth of a millimetre.
    torch.testing.assert_close(_told(after, frames), _told(before, frames), atol=3e-4, rtol=0)


@torch.no_grad()
def _told(policy, frames):
    """What a policy's eyes tell (N, 14), in metres."""
    readings = policy.normalizer.normalize(frames)
    return policy.obs_encoder.object(policy.obs_encoder.estimate(readings), readings)


def test_the_commands_make_a_policy_that_sees_and_practises(tmp_path, capsys):
    # A policy of state that was trained on a part of its file: of what it is given now nothing is left out.
    checkpoint = read_checkpoint(TEACHER, training=False)
    few = override(checkpoint.config, data__max_demonstrations=1, train_mask="other", rollout_every=5)
    write_policy(tmp_path / "few", replace(checkpoint, config=few))
    see = ["see", "--policy", tmp_path / "few", "--path", PICTURES, "--run-dir", tmp_path / "eyes"]
    see += ["--scenes", 0]
    assert main([*map(str, see), "--steps", "2", "--batch-size", "4"]) == 0
    assert "held-out pictures: " in capsys.readouterr().out
    practise = ["practise", "--eyes", tmp_path / "eyes", "--path", PICTURES, "--run-dir", tmp_path / "run"]
    practise += ["--steps", 2, "--batch-size", 8, "--n-action-steps", 4]
    assert main([*map(str, practise)]) == 0
    shown = Demonstrations.read(PICTURES, "can", filter_key="train")
    windows = len(shown.action) + len(shown) * (2 + 5 - 10)  # T = 10, To = 2, Ta = 4: 5 padded steps after
    assert f" {windows:,} windows; steps 0 to 2" in capsys.readouterr().out
    eyes, policy = load_policy(tmp_path / "eyes"), load_policy(tmp_path / "run")
    ours, theirs = policy.obs_encoder.state_dict(), eyes.obs_encoder.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert policy.n_action_steps == 4
    assert read_checkpoint(tmp_path / "run" / "state", training=False).config.policy.n_action_steps == 4
    command = read_checkpoint(tmp_path / "run", training=False).about["command"]
    assert command.startswith("ddpm-edu see --policy ")
    assert " && ddpm-edu practise --eyes " in command
    frames = Frames([PICTURES], "can", "valid").obs(torch.tensor([0, 1]))
    actions = policy.predict_action({key: value[None] for key, value in frames.items()})["action"]
    assert actions.shape == (1, 4, 7)
    # Another denoiser sees with the same eyes, in its own units: the hand's readings have other ones, too.
    other = [*practise[:6], tmp_path / "unet", "--steps", 2, "--batch-size", 8]
    assert main([*map(str, other), "--policy", str(DATA / "policies" / "can_unet")]) == 0
    unet, state = load_policy(tmp_path / "unet"), load_policy(DATA / "policies" / "can_unet")
    hand = "robot0_eef_pos"
    assert (eyes.normalizer[hand].center - unet.normalizer[hand].center).abs().max() > 0.01  # metres
    frames = Frames([PICTURES], "can", "valid").obs(torch.arange(0, 100, 5))
    told = [_told(policy, frames) for policy in (eyes, unet)]
    torch.testing.assert_close(told[1], told[0], atol=2e-5, rtol=0)
    assert torch.equal(unet.obs_encoder.units[1, :14], state.normalizer["object"].scale)
    assert (unet.config.denoiser, unet.horizon) == (state.config.denoiser, state.horizon)
    command = read_checkpoint(tmp_path / "unet", training=False).about["command"]
    assert f"--policy {DATA / 'policies' / 'can_unet'}" in command
    capsys.readouterr()
    assert main([*map(str, other)]) == 2
    assert "was made from other --policy (by content)" in capsys.readouterr().err
    assert main([*map(str, other), "--policy", str(DATA / "policies" / "square_unet")]) == 2
    assert "square_unet is a policy for the task 'square', and the eyes were" in capsys.readouterr().err
    # The same command again is done; with other eyes, or in the folder of something else, it is refused.
    assert main([*map(str, practise)]) == 0
    assert main([*map(str, see), "--steps", "3", "--batch-size", "4"]) == 0
    capsys.readouterr()
    assert main([*map(str, practise)]) == 2
    assert "was made from other --eyes (by content) than are named now" in capsys.readouterr().err
    assert main([*map(str, practise), "--run-dir", str(tmp_path / "eyes")]) == 2
    assert "holds checkpoints and nothing that this command has written" in capsys.readouterr().err
    with h5py.File(tmp_path / "run" / "told.hdf5", "a") as file:
        del file["data"].attrs["told"]
    assert main([*map(str, practise)]) == 2
    assert "told.hdf5 does not say what it was made from; choose another" in capsys.readouterr().err


def test_a_policy_that_sees_already_is_not_given_eyes():
    config = read_checkpoint(TEACHER, training=False).config
    with pytest.raises(ConfigError, match=r"observes 'image'; eyes are given to one that observes 'low_dim'"):
        seeing_config(override(config, policy__observation="image"), "small")


def test_one_process_at_a_time_teaches_in_a_folder(frames, tmp_path):
    teacher = make(frames, tmp_path / "run")
    with only_writer(tmp_path / "run"), pytest.raises(BusyError):
        teacher.run(progress=False)
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_a_loss_that_is_not_finite_ends_it_and_nothing_is_saved(frames, tmp_path):
    teacher = make(frames, tmp_path / "run")
    with torch.no_grad():
        teacher.policy.obs_encoder.head[0].weight[0, 0] = torch.nan
    with pytest.raises(TrainingError, match="the loss is nan at step 1, and nothing was saved; train again"):
        teacher.run(progress=False)
    assert not (tmp_path / "run" / "checkpoints").exists()
    teacher.step = 1  # as if the loss had been finite, and only its gradient not
    with pytest.raises(TrainingError, match=r"after step 1 the weight obs_encoder\..* is not finite"):
        teacher._save(0.0)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_teaching_knows_its_pictures_and_the_policy_that_it_gives_eyes(frames, tmp_path):
    given = {"path": "here", "sha256": "a" * 64}
    make(frames, tmp_path / "run", given=given)._save(0.0)
    make(frames, tmp_path / "run", given={**given, "path": "moved"})
    with pytest.raises(ConfigError, match=r"began from here, and here is asked for"):
        make(frames, tmp_path / "run", given={**given, "sha256": "b" * 64})
    with pytest.raises(ConfigError, match=r"holds a run on other demonstrations"):
        make((frames[1], frames[1]), tmp_path / "run", given=given)
    make(frames, tmp_path / "run", given=given, steps=8)  # more steps than before
