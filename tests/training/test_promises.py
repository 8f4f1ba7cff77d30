"""What a run promises: finite weights, its own data, one writer, an exit code that tells the truth."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

import h5py
import pytest
import torch
from safetensors.torch import load_file
from signals import killing, sending

from ddpm_edu import cli
from ddpm_edu.commands.practise import practise
from ddpm_edu.commands.see import see
from ddpm_edu.commands.train import train
from ddpm_edu.errors import BusyError, CheckpointError, ConfigError, TrainingError, UserError
from ddpm_edu.factory import build_policy
from ddpm_edu.files import only_writer
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.presets import preset
from ddpm_edu.settings import override
from ddpm_edu.training import trainer as trainer_module
from ddpm_edu.training.checkpoint import Checkpoint, list_checkpoints, load_policy
from ddpm_edu.training.log import read_log
from ddpm_edu.training.resume import save_finite
from ddpm_edu.training.stop import StopRequest
from ddpm_edu.training.trainer import Trainer
from ddpm_edu.training.validation import Best

TINY = {"horizon": 8, "n_action_steps": 4, "down_dims": (16, 32), "n_groups": 4, "batch_size": 16}
TINY |= {"diffusion_step_embed_dim": 16, "warmup_steps": 1, "max_demonstrations": 3}
TINY |= {"log_every": 5, "validate_every": 100, "checkpoint_every": 4}
OPTIONS = [
    word
    for name, value in TINY.items()
    for word in (f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else [value]))
]


def tiny(**overrides):
    return preset("can", **{**TINY, **overrides})


def names(run_dir):
    return [path.name for path in list_checkpoints(run_dir / "checkpoints")]


# ------------------------------------------------------------------------------------------------ finite


def poison(trainer, step, value, monkeypatch, of="loss"):
    """Lets one step's loss, or a weight after it, be `value`."""
    real = trainer._train_step

    def train_step():
        loss = real()
        if trainer.step == step:
            if of == "loss":
                return loss * value
            with torch.no_grad():
                next(trainer.policy.denoiser.parameters()).view(-1)[0] = value
        return loss

    monkeypatch.setattr(trainer, "_train_step", train_step)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_first_loss_that_is_not_finite_ends_the_run_and_the_last_state_stays(
    tmp_path, monkeypatch, value
):
    trainer = Trainer(tiny(steps=20), tmp_path)
    poison(trainer, 7, value, monkeypatch)  # read at step 8, for the checkpoint
    with pytest.raises(TrainingError, match=rf"the loss is {value} at step 7, and .* keeps step 4; .*lower"):
        trainer.run(progress=False)
    assert names(tmp_path) == ["step_00000004"]
    assert all(math.isfinite(entry["loss"]) for entry in read_log(tmp_path))
    assert Trainer(tiny(steps=20), tmp_path).run(progress=False).step == 20  # the state was a good one


def test_weights_that_are_not_finite_are_not_saved_though_the_loss_was(tmp_path, monkeypatch):
    trainer = Trainer(tiny(steps=20), tmp_path)
    poison(trainer, 8, math.inf, monkeypatch, of="weight")
    with pytest.raises(TrainingError, match=r"after step 8 the weight denoiser.* is not finite"):
        trainer.run(progress=False)
    assert names(tmp_path) == ["step_00000004"]


@pytest.mark.parametrize(
    ("part", "words"),
    [("weights", "the weight w"), ("ema", "the averaged weight w"), ("training", "the AdamW's average")],
)
@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_no_part_of_a_checkpoint_that_is_not_finite_is_saved(tmp_path, part, words, value):
    good, bad = {"w": torch.ones(2)}, {"w": torch.tensor([1.0, value])}
    parts = {"weights": good, "ema": good, "training": {"optimizer": {"state": {0: good}}}}
    parts[part] = {"optimizer": {"state": {0: bad}}} if part == "training" else bad
    checkpoint = Checkpoint(3, tiny(steps=20), about={}, **parts)
    with pytest.raises(TrainingError, match=f"after step 3 {words}.* is not finite, and nothing was saved"):
        save_finite(tmp_path, checkpoint)
    assert not list(tmp_path.iterdir())


def test_a_learning_rate_that_is_too_high_is_one_line(tmp_path, capsys):
    words = [
        "train",
        *OPTIONS,
        "--steps",
        "60",
        "--learning-rate",
        "1e8",
        "--run-dir",
        str(tmp_path / "run"),
    ]
    assert cli.main(words) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    assert "lower --learning-rate than 1e+08" in said
    for path in list_checkpoints(tmp_path / "run" / "checkpoints"):
        load_policy(path)


def test_what_is_no_number_is_never_best():
    for by_success in (True, False):
        best = Best(by_success)
        assert not best.improves(math.nan, 1)
        assert best.improves(0.5, 2)
        assert not best.improves(math.nan, 3)
        assert (best.value, best.step) == (0.5, 2)
        assert Best(by_success, math.nan, 1).improves(0.5, 2)  # as an older run may have it


# ------------------------------------------------------------------------------------------------ its data


def test_a_run_knows_its_data_by_content(tmp_path):
    here, there = tmp_path / "here.hdf5", tmp_path / "folder" / "there.hdf5"
    there.parent.mkdir()
    shutil.copy(shipped_demonstrations("can"), here)
    shutil.copy(here, there)
    run = tmp_path / "run"
    Trainer(tiny(steps=4, data__path=str(here)), run).run(progress=False)
    assert Trainer(tiny(steps=4, data__path=str(there)), run).step == 4
    with h5py.File(here, "r+") as file:
        first = file["mask/train"][0].decode()
        file[f"data/{first}/actions"][0, 0] += 1e-3
    with pytest.raises(ConfigError, match=r"holds a run on other demonstrations"):
        Trainer(tiny(steps=4, data__path=str(here)), run)


def test_a_run_from_before_the_fingerprint_goes_on(tmp_path):
    Trainer(tiny(steps=4), tmp_path).run(progress=False)
    path = list_checkpoints(tmp_path / "checkpoints")[-1] / "policy.json"
    content = json.loads(path.read_text())
    del content["sha256"], content["about"]["demonstrations"]
    path.write_text(json.dumps(content))
    assert Trainer(tiny(steps=4), tmp_path).step == 4


# ------------------------------------------------------------------------------------------------ going on


def rates(run_dir):
    return {entry["step"]: entry["learning_rate"] for entry in read_log(run_dir) if "loss" in entry}


def test_a_finished_run_is_given_more_steps(tmp_path):
    every = {"log_every": 1, "learning_rate": 1e-3}
    Trainer(tiny(steps=20, **every), tmp_path / "whole").run(progress=False)
    Trainer(tiny(steps=8, **every), tmp_path / "longer").run(progress=False)
    assert rates(tmp_path / "longer")[8] == 0
    before = load_file(list_checkpoints(tmp_path / "longer" / "checkpoints")[-1] / "policy.safetensors")
    longer = Trainer(tiny(steps=20, **every), tmp_path / "longer")
    assert longer.step == 8
    # The next step is taken at the rate of the longer run, not at the 0 where the shorter one ended.
    rate = longer.optimizer.param_groups[0]["lr"]
    assert rate == pytest.approx(0.5e-3 * (1 + math.cos(math.pi * 7 / 19)))
    assert longer.run(progress=False).step == 20
    for step in range(9, 21):
        assert rates(tmp_path / "longer")[step] == rates(tmp_path / "whole")[step]
    after = load_file(list_checkpoints(tmp_path / "longer" / "checkpoints")[-1] / "policy.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    with pytest.raises(ConfigError, match=r"training.steps = 20, and 8 is asked for"):
        Trainer(tiny(steps=8, **every), tmp_path / "longer")


def test_a_policy_that_is_not_the_configured_one_is_refused(tmp_path):
    """Its checkpoint would open as the configured one, and act as that."""
    config = tiny(steps=4)
    policy = build_policy(override(config, prediction_type="v_prediction").policy)
    wrong = r"config\.policy\.noise\.prediction_type is 'epsilon', and .* has 'v_prediction'; pass"
    with pytest.raises(ConfigError, match=wrong):
        Trainer(config, tmp_path / "run", policy=policy)
    again = override(config, policy=policy.config)
    checkpoint = Trainer(again, tmp_path / "run", policy=policy).run(progress=False).checkpoint
    assert load_policy(checkpoint).noise_scheduler.config.prediction_type == "v_prediction"


def test_training_begins_from_other_weights(tmp_path):
    source = Trainer(tiny(steps=8), tmp_path / "source").run(progress=False).checkpoint
    other = tiny(steps=4, seed=3, max_demonstrations=2)
    begun = Trainer(other, tmp_path / "run", init_from=tmp_path / "source")
    taken, own = load_file(source / "ema.safetensors"), begun.policy.state_dict()
    for name, value in taken.items():
        assert torch.equal(own[name], value) or name.startswith("normalizer."), name
    assert any(not torch.equal(own[name], taken[name]) for name in taken if name.startswith("normalizer."))
    begun.run(progress=False)

    again = Trainer(other, tmp_path / "run", init_from=tmp_path / "source")
    assert again.step == 4
    assert again.init_from["path"].endswith("step_00000008")
    changed = Trainer(tiny(steps=4, seed=9), tmp_path / "changed").run(progress=False).checkpoint
    with pytest.raises(ConfigError, match=r"began from .*step_00000008, and .*step_00000004 is asked for"):
        Trainer(other, tmp_path / "run", init_from=changed)
    shutil.rmtree(tmp_path / "source")
    assert Trainer(other, tmp_path / "run", init_from=tmp_path / "source").step == 4
    with pytest.raises(CheckpointError, match=r"does not exist"):
        Trainer(other, tmp_path / "fresh", init_from=tmp_path / "source")
    with pytest.raises(CheckpointError, match=r"shape|entry"):
        Trainer(tiny(steps=4, down_dims=(8, 16)), tmp_path / "small", init_from=changed)


def test_a_presets_warm_up_is_shorter_than_the_run_and_an_asked_one_must_be(tmp_path, capsys):
    assert preset("can").training.warmup_steps == preset("can", steps=501).training.warmup_steps == 500
    assert preset("can", steps=60).training.warmup_steps == 6
    with pytest.raises(ConfigError, match=r"warmup_steps 5 leaves none of training.steps 5 at the full"):
        Trainer(tiny(steps=5, warmup_steps=5), tmp_path / "run")
    words = ["train", "--steps", "6", "--run-dir", str(tmp_path / "run")]
    assert cli.main([*words, "--warmup-steps", "500"]) == 2
    assert "warmup_steps 500 leaves none" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------------------------ one writer


def test_a_second_writer_is_refused_and_changes_nothing(tmp_path):
    run = tmp_path / "run"
    Trainer(tiny(steps=4), run).run(progress=False)
    longer = Trainer(tiny(steps=8), run)
    before = (run / "log.jsonl").read_bytes()
    with only_writer(run), pytest.raises(BusyError, match=r"is being written by"):
        longer.run(progress=False)
    assert (run / "log.jsonl").read_bytes() == before
    Trainer(tiny(steps=8), run).run(progress=False)
    with pytest.raises(ConfigError, match=r"another process has trained .* to step 8, since .* step 4"):
        longer.run(progress=False)


@pytest.mark.slow
def test_two_processes_at_once_leave_what_one_leaves(tmp_path):
    words = [sys.executable, "-m", "ddpm_edu", "train", *OPTIONS, "--steps", "40", "--run-dir"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pair = [
        subprocess.Popen([*words, str(tmp_path / "two")], env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=250)[1] for process in pair]
    for process, error in zip(pair, said, strict=True):
        assert process.returncode in (0, 2)
        assert process.returncode == 0 or error.splitlines()[-1].startswith("error: ")
    assert 0 in [process.returncode for process in pair]
    Trainer(tiny(steps=40), tmp_path / "one").run(progress=False)
    one, two = (
        run / "checkpoints/step_00000040/ema.safetensors" for run in (tmp_path / "one", tmp_path / "two")
    )
    expected, found = load_file(one), load_file(two)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert len(read_log(tmp_path / "two")) == len(read_log(tmp_path / "one"))


def test_a_folder_of_other_things_is_not_trained_in(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"holds thesis\.tex and nothing that this command has written"):
        Trainer(tiny(steps=4), tmp_path).run(progress=False)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_log_that_is_not_ours_is_named_and_kept(tmp_path):
    Trainer(tiny(steps=4), tmp_path).run(progress=False)
    log = tmp_path / "log.jsonl"
    good = log.read_bytes()
    for line in (b"[]", b"notes", b'{"loss": 1}', b'{"step": "4"}', b"[" * 100_000, b"9" * 5_000, b"\xff",
                 b'{"step": 4, "loss": 1' + b"0" * 400 + b"}"):  # fmt: skip
        log.write_bytes(good + line + b"\n")
        number = good.count(b"\n") + 1
        with pytest.raises(CheckpointError, match=f"line {number} is not an entry of a run's log"):
            Trainer(tiny(steps=8), tmp_path).run(progress=False)
        assert log.read_bytes() == good + line + b"\n"


# ------------------------------------------------------------------------------------------------ exit codes


@pytest.mark.slow
def test_a_reader_that_leaves_does_not_stop_the_training(tmp_path):
    words = [sys.executable, "-m", "ddpm_edu", "train", *OPTIONS, "--steps", "12", "--run-dir", str(tmp_path)]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(words, stdout=writing, stderr=writing, timeout=250)
    os.close(writing)
    assert done.returncode == 0
    assert names(tmp_path)[-1] == "step_00000012"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_saves_and_is_told_by_the_exit_code(tmp_path, number, code):
    words = [
        sys.executable,
        "-m",
        "ddpm_edu",
        "train",
        *OPTIONS,
        "--steps",
        "100000",
        "--run-dir",
        str(tmp_path),
    ]
    words += ["--checkpoint-every", "1000000"]
    # Under nohup, children ignore SIGHUP, as they should; here they are asked about it.
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 200
    while not read_log(tmp_path) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    try:
        said = process.communicate(timeout=120)[0]
    finally:
        process.kill()
    assert process.returncode == code
    assert "saved. The same command goes on from there" in said
    assert len(names(tmp_path)) == 1


def test_whoever_asks_again_neither_loses_the_run_nor_changes_the_exit_code(tmp_path, monkeypatch, capsys):
    again = (signal.SIGTERM, signal.SIGHUP)
    monkeypatch.setattr(Trainer, "_train_step", sending(Trainer._train_step, signal.SIGTERM, *again))
    monkeypatch.setattr(trainer_module, "save_finite", sending(save_finite, *again))
    with killing():
        assert cli.main(["train", *OPTIONS, "--steps", "6", "--run-dir", str(tmp_path)]) == 143
    assert "terminated at step 1 of 6; saved" in capsys.readouterr().out
    assert names(tmp_path) == ["step_00000001"]


def test_the_last_save_is_not_cut_off_by_the_first_signal(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "save_finite", sending(save_finite, signal.SIGHUP))
    with killing():
        result = Trainer(tiny(steps=3), tmp_path).run(progress=False)
    assert (result.step, result.stopped, names(tmp_path)) == (3, "hung up", ["step_00000003"])


def test_a_second_ctrl_c_interrupts_at_once():
    with StopRequest() as stop_requested:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop_requested()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with StopRequest(max_minutes=1e-9) as stop_requested:
        assert stop_requested()
        os.kill(os.getpid(), signal.SIGINT)  # the first one: what the time limit asked for is still saved
    assert stop_requested.reason == "interrupted"


@pytest.mark.parametrize("minutes", [math.nan, 0, -1, math.inf])
def test_a_time_limit_is_a_time(tmp_path, minutes):
    with pytest.raises(ConfigError, match=r"max_minutes is .*; it must be above 0"):
        train(None, run_dir=tmp_path, max_minutes=minutes)
    for command in (see, practise):  # before they look at anything
        with pytest.raises(ConfigError, match=r"max_minutes is .*; it must be above 0"):
            command(tmp_path / "none", tmp_path / "none", tmp_path / "run", max_minutes=minutes)
    assert not list(tmp_path.iterdir())
