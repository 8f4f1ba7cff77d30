"""Training: learns, stops cleanly, and after any kill goes on as if it had not been stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from safetensors.torch import load_file

from ddpm_edu.commands.arguments import Settings
from ddpm_edu.commands.train import train
from ddpm_edu.errors import ConfigError, SimulatorError
from ddpm_edu.presets import preset
from ddpm_edu.training.checkpoint import list_checkpoints, load_policy
from ddpm_edu.training.log import read_log
from ddpm_edu.training.trainer import Trainer

TINY = dict(
    horizon=8,
    n_action_steps=4,
    down_dims=(16, 32),
    n_groups=4,
    diffusion_step_embed_dim=16,
    batch_size=16,
    warmup_steps=1,
    log_every=5,
    validate_every=10,
    checkpoint_every=10,
    max_demonstrations=5,
)


def tiny(**overrides):
    return preset("can", **{**TINY, **overrides})


def test_training_learns_and_leaves_a_policy_that_acts(tmp_path):
    config = tiny(steps=120, learning_rate=3e-3, down_dims=(32, 64), batch_size=64)
    result = Trainer(config, tmp_path).run(progress=False)
    assert (result.step, result.stopped) == (120, None)
    losses = [entry["loss"] for entry in read_log(tmp_path) if "loss" in entry]
    assert len(losses) == 24
    assert sum(losses[-4:]) / 4 < 0.6 * losses[0]
    assert [entry["step"] for entry in read_log(tmp_path) if "validation_loss" in entry] == list(
        range(10, 121, 10)
    )
    assert len(list_checkpoints(tmp_path / "checkpoints")) == 2
    assert list((tmp_path / "tensorboard").iterdir())

    policy = load_policy(tmp_path)
    obs = {"object": torch.zeros(1, 2, 14), "robot0_eef_pos": torch.zeros(1, 2, 3)}
    obs |= {"robot0_eef_quat": torch.zeros(1, 2, 4), "robot0_gripper_qpos": torch.zeros(1, 2, 2)}
    assert policy.predict_action(obs)["action"].shape == (1, 4, 7)
    # The normaliser was fitted and came along.
    assert not torch.equal(policy.normalizer["object"].scale, torch.ones(14))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    def weights(name, seed):
        path = Trainer(tiny(steps=3, seed=seed), tmp_path / name).run(progress=False).checkpoint
        return load_file(path / "policy.safetensors")

    first, again, other = weights("first", 0), weights("again", 0), weights("other", 1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("noise_draws", [1, 3])
def test_accumulated_gradients_equal_one_large_batch(tmp_path, noise_draws):
    def weights(name, parts):
        config = tiny(steps=4, gradient_accumulation_steps=parts, noise_draws=noise_draws)
        return load_file(
            Trainer(config, tmp_path / name).run(progress=False).checkpoint / "policy.safetensors"
        )

    whole, parts = weights("whole", 1), weights("parts", 4)
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-3, atol=1e-5)


def test_a_time_limit_stops_cleanly(tmp_path):
    config = tiny(steps=10_000)
    result = Trainer(config, tmp_path).run(max_minutes=0.5 / 60, progress=False)
    assert 0 < result.step < 10_000
    assert "max-minutes" in result.stopped
    assert Trainer(config, tmp_path).step == result.step


def test_another_configuration_is_not_mixed_in(tmp_path):
    Trainer(tiny(steps=2), tmp_path).run(progress=False)
    with pytest.raises(ConfigError, match=r"training.learning_rate = 0.0006, and 0.1 is asked for"):
        Trainer(tiny(steps=2, learning_rate=0.1), tmp_path)
    Trainer(tiny(steps=2, log_every=1), tmp_path)  # how often to log is free


# ------------------------------------------------------------------------------- killed and gone on with


def command(run_dir, steps, launch=()):
    options = [
        "--max-demonstrations",
        "5",
        "--horizon",
        "8",
        "--n-action-steps",
        "4",
        "--down-dims",
        "16",
        "32",
    ]
    options += [
        "--n-groups",
        "4",
        "--diffusion-step-embed-dim",
        "16",
        "--batch-size",
        "16",
        "--warmup-steps",
        "1",
    ]
    options += [
        "--log-every",
        "1",
        "--validate-every",
        "10",
        "--checkpoint-every",
        "7",
        "--steps",
        str(steps),
    ]
    start = launch or (sys.executable, "-m", "ddpm_edu")
    return [*start, "train", *options, "--run-dir", str(run_dir)]


@pytest.mark.slow
def test_a_killed_run_ends_bit_identical_to_an_uninterrupted_one(tmp_path):
    steps, whole, killed = 60, tmp_path / "whole", tmp_path / "killed"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command(whole, steps), check=True, capture_output=True, env=environment)
    moments = random.Random(0)
    kills = [signal.SIGKILL, signal.SIGKILL, signal.SIGINT]
    for number in kills:
        before = len(read_log(killed))
        process = subprocess.Popen(
            command(killed, steps), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wanted = before + moments.randint(5, 15)
        deadline = time.monotonic() + 120
        while len(read_log(killed)) < wanted and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        code = process.wait(timeout=60)
        assert code in (-signal.SIGKILL, 130, 0)
    subprocess.run(command(killed, steps), check=True, capture_output=True, env=environment)
    for name in ("policy.safetensors", "ema.safetensors", "training.safetensors"):
        expected = load_file(whole / "checkpoints" / f"step_{steps:08d}" / name)
        found = load_file(killed / "checkpoints" / f"step_{steps:08d}" / name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), name
    # The best checkpoint too: the same step, the same weights.
    best = [json.loads((run / "checkpoints/best/policy.json").read_text()) for run in (whole, killed)]
    assert best[0] == best[1]
    expected, found = (load_file(run / "checkpoints/best/ema.safetensors") for run in (whole, killed))
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    losses = [[entry["loss"] for entry in read_log(run) if "loss" in entry] for run in (whole, killed)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == steps


# With --cpu the launcher starts one process only, whatever --num_processes says; so starts two on a CPU.
TWO_PROCESSES = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
TWO_PROCESSES += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
ON_CPU = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


@pytest.mark.slow
def test_two_processes_follow_the_loss_curve_of_one(tmp_path):
    launch = [*TWO_PROCESSES, "-m", "ddpm_edu"]
    subprocess.run(command(tmp_path / "one", 12), check=True, capture_output=True, env=ON_CPU)
    subprocess.run(command(tmp_path / "two", 12, launch), check=True, capture_output=True, env=ON_CPU)
    one, two = (
        [entry["loss"] for entry in read_log(tmp_path / name) if "loss" in entry] for name in ("one", "two")
    )
    assert two == pytest.approx(one, rel=1e-4)


@pytest.mark.slow
def test_a_stop_asked_of_one_process_stops_all_for_its_reason(tmp_path):
    script = tmp_path / "stop.py"
    script.write_text("""
import os, signal
from accelerate import Accelerator
from ddpm_edu.training.stop import StopRequest

accelerator = Accelerator()
with StopRequest(accelerator=accelerator) as stop_requested:
    before = stop_requested()
    if accelerator.process_index == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    after = stop_requested()
with open(f"{__file__}.{accelerator.process_index}", "w") as file:
    file.write(f"{before} {after} {stop_requested.reason}")
accelerator.end_training()
""")
    subprocess.run([*TWO_PROCESSES, str(script)], check=True, capture_output=True, env=ON_CPU)
    for process in range(2):
        assert (tmp_path / f"stop.py.{process}").read_text() == "False True terminated"


@pytest.mark.slow
def test_two_processes_share_the_time_limit_of_all_seeds(tmp_path):
    limited = command(tmp_path / "run", 100_000, [*TWO_PROCESSES, "-m", "ddpm_edu"])
    limited += ["--seeds", "3", "5", "--max-minutes", "0.02"]
    done = subprocess.run(limited, check=True, capture_output=True, env=ON_CPU, text=True, timeout=120)
    stopped, skipped = done.stdout.splitlines()[-2:]
    assert stopped.startswith("reached --max-minutes")
    assert skipped == "seed 5 was not begun: reached --max-minutes 0.02"
    assert not (tmp_path / "run-seed5").exists()


def test_the_log_forgets_what_came_after_the_checkpoint(tmp_path):
    trainer = Trainer(tiny(steps=20), tmp_path)
    trainer.run(progress=False)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": 25, "loss": 0.1}) + "\n" + '{"step": 26, "lo')
    Trainer(tiny(steps=20), tmp_path).run(progress=False)
    assert max(entry["step"] for entry in read_log(tmp_path)) == 20


# --------------------------------------------------------------------------- options that are off by default


def test_bf16_and_compiled_training_follow_the_plain_loss_curve(tmp_path):
    def losses(name, **overrides):
        Trainer(tiny(steps=10, log_every=1, **overrides), tmp_path / name).run(progress=False)
        return [entry["loss"] for entry in read_log(tmp_path / name) if "loss" in entry]

    plain = losses("plain")
    bf16 = losses("bf16", mixed_precision="bf16")
    assert bf16 == pytest.approx(plain, rel=0.02)
    assert bf16 != plain
    torch._dynamo.reset()
    assert losses("traced", compile="eager") == pytest.approx(plain, rel=1e-3)


def test_rollouts_choose_the_best_checkpoint_and_leave_training_and_resuming_as_they_were(tmp_path):
    rates = {5: 0.5, 10: 0.9, 15: 0.9, 20: 0.1}
    played = []

    def trainer(name, **overrides):
        def play(policy, episodes):
            torch.rand(3)  # whatever a rollout draws must not reach the training
            assert not policy.training
            played.append((episodes, one.step))
            return rates[one.step]

        one = Trainer(tiny(steps=20, checkpoint_every=7, **overrides), tmp_path / name, play=play)
        return one

    with pytest.raises(ConfigError, match="nothing to play with"):
        Trainer(tiny(steps=20, rollout_every=5), tmp_path / "without")
    plain = trainer("plain").run(progress=False).checkpoint
    assert not played
    best = json.loads((plain.parent / "best" / "policy.json").read_text())
    assert best["about"]["best"].startswith("held-out action error")

    acting = trainer("acting", rollout_every=5, rollout_episodes=3)
    checkpoint = acting.run(progress=False).checkpoint
    assert played == [(3, 5), (3, 10), (3, 15), (3, 20)]
    assert (acting.best.step, acting.best.value) == (15, 0.9)
    assert json.loads((checkpoint.parent / "best" / "policy.json").read_text())["step"] == 15
    assert len(load_policy(checkpoint.parent / "best").state_dict()) > 0
    assert [entry["success_rate"] for entry in read_log(tmp_path / "acting") if "success_rate" in entry] == [
        0.5, 0.9, 0.9, 0.1,
    ]  # fmt: skip
    expected, found = (load_file(path / "policy.safetensors") for path in (plain, checkpoint))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    resumed = trainer("acting", rollout_every=5, rollout_episodes=3)
    assert (resumed.best.step, resumed.best.value) == (15, 0.9)


def test_the_held_out_action_error_falls_and_looking_does_not_change_what_is_learned(tmp_path):
    config = tiny(steps=60, learning_rate=3e-3, down_dims=(32, 64), batch_size=64)
    Trainer(config, tmp_path).run(progress=False)
    errors = [e["validation_action_error"] for e in read_log(tmp_path) if "validation_action_error" in e]
    assert len(errors) == 6
    assert errors[-1] < errors[0]


def tiny_settings(**training):
    config = tiny(**training)
    return Settings("laptop", config.policy, config.data, config.training)


def test_several_seeds_are_trained_one_after_the_other(tmp_path):
    settings = tiny_settings(steps=2)
    train(settings, run_dir=tmp_path / "run", seeds=(3, 5))
    for seed in (3, 5):
        checkpoint = list_checkpoints(tmp_path / f"run-seed{seed}" / "checkpoints")[-1]
        assert json.loads((checkpoint / "policy.json").read_text())["config"]["training"]["seed"] == seed
    with pytest.raises(ConfigError, match="each seed once"):
        train(settings, run_dir=tmp_path / "run", seeds=(3, 3))


def test_who_stops_one_seed_stops_all(tmp_path):
    settings = tiny_settings(steps=100_000)
    log = tmp_path / "run-seed3" / "log.jsonl"

    def terminate():
        while not (log.is_file() and log.stat().st_size):  # from then on the trainer listens
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=terminate, daemon=True)
    killer.start()
    train(settings, run_dir=tmp_path / "run", seeds=(3, 5))
    killer.join()
    assert list_checkpoints(tmp_path / "run-seed3" / "checkpoints")
    assert not (tmp_path / "run-seed5").exists()


def test_a_time_limit_holds_for_all_seeds_together(tmp_path, capsys):
    settings = tiny_settings(steps=100_000)
    train(settings, run_dir=tmp_path / "run", seeds=(3, 5), max_minutes=0.02)
    stopped, skipped = capsys.readouterr().out.splitlines()[-2:]
    assert stopped.startswith("reached --max-minutes")
    assert skipped == "seed 5 was not begun: reached --max-minutes 0.02"
    assert not (tmp_path / "run-seed5").exists()


def test_a_simulator_that_fails_costs_no_training(tmp_path):
    def play(policy, episodes):
        raise SimulatorError("no renderer")

    config = tiny(steps=8, rollout_every=4)
    for step in (4, 8):  # the second start goes on behind the rollout that failed
        with pytest.raises(SimulatorError, match="no renderer"):
            Trainer(config, tmp_path, play=play).run(progress=False)
        assert list_checkpoints(tmp_path / "checkpoints")[-1].name == f"step_{step:08d}"
    again = Trainer(config, tmp_path, play=play).run(progress=False)  # finished: nothing is left to do
    assert (again.step, again.loss) == (8, read_log(tmp_path)[-2]["loss"])


def test_a_run_that_dies_in_a_rollout_ends_bit_identical_its_best_checkpoint_too(tmp_path):
    rates = {5: 0.5, 10: 0.9, 15: 0.95, 20: 0.1}

    def trainer(name, dies_at=None):
        def play(policy, episodes):
            if one.step == dies_at:
                raise RuntimeError("power cut")
            return rates[one.step]

        one = Trainer(tiny(steps=20, checkpoint_every=7, rollout_every=5), tmp_path / name, play=play)
        return one

    whole = trainer("whole").run(progress=False).checkpoint
    for dies_at in (10, 20):
        with pytest.raises(RuntimeError, match="power cut"):
            trainer("killed", dies_at).run(progress=False)
    killed = trainer("killed").run(progress=False).checkpoint
    files = [("", name) for name in ("policy", "ema", "training")] + [("../best", "ema")]
    for folder, name in files:
        expected, found = (load_file(run / folder / f"{name}.safetensors") for run in (whole, killed))
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), (folder, name)
