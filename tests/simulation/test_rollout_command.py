"""`ddpm-edu rollout` with a small, untrained policy in the real simulator."""

import json
import os

import pytest
import torch

from ddpm_edu.cli import main
from ddpm_edu.factory import build_policy
from ddpm_edu.files import only_writer
from ddpm_edu.presets import preset
from ddpm_edu.settings import override, to_dict
from ddpm_edu.training.checkpoint import Checkpoint, write_policy


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    small = {"down_dims": (8, 16), "n_groups": 4, "unet__diffusion_step_embed_dim": 8}
    config = override(preset("can"), **small)
    torch.manual_seed(0)
    policy = build_policy(config.policy)
    folder = tmp_path_factory.mktemp("run") / "checkpoints" / "step_00000000"
    folder.parent.mkdir()
    write_policy(folder, Checkpoint(0, config, None, policy.state_dict(), None, {}))
    return folder


def test_rollout_of_a_checkpoint_writes_a_report(checkpoint, capsys):
    options = "--episodes 1 --workers 1 --videos 0 --scheduler ddpm --inference-steps 3 --first-seed 5"
    options += " --n-action-steps 15"
    assert main(["rollout", str(checkpoint), *options.split()]) == 0
    out = checkpoint.parent.parent / "rollout"  # beside the run's checkpoints, not among them
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("0 of 1 episodes succeeded: 0%")
    assert said[-1] == f"report: {out / 'report.html'}"
    numbers = json.loads((out / "report.json").read_text())
    assert (numbers["first_seed"], numbers["episodes"]) == (5, 1)
    assert numbers["checkpoint"] == str(checkpoint)
    noise = numbers["config"]["policy"]["noise"]
    assert (noise["scheduler"], noise["num_inference_steps"]) == ("ddpm", 3)
    played = json.loads((out / "rollout.json").read_text())
    assert played["chunks"] == -(-played["episodes"][0]["length"] // 15)  # decisions, the last cut short
    assert numbers["config"]["training"] == to_dict(preset("can").training)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--inference-steps 101", "noise.num_inference_steps is 101; it must lie between 1 and"),
        ("--n-action-steps 16", "= 17 exceeds horizon 16"),
        ("--episodes 0", "episodes is 0; it must be at least 1"),
        ("--videos many", "error parsing --videos: invalid literal"),
        ("--videos -1", "videos is -1; it must be at least 0"),
        ("--device warp", "device is 'warp'; it must be 'cpu' or"),
    ],
)
def test_refuses_in_one_line(checkpoint, options, message, capsys):
    assert main(["rollout", str(checkpoint), *options.split()]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert message in said[0].lower()


def test_what_no_rollout_wrote_stays(checkpoint, tmp_path, capsys):
    (tmp_path / "report.html").write_text("mine")
    assert main(["rollout", str(checkpoint), "--episodes", "1", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "report.html exists, and it is damaged or no rollout wrote it" in said[0]
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    with only_writer(tmp_path):
        assert main(["rollout", str(checkpoint), "--episodes", "1", "--out", str(tmp_path)]) == 2
    assert f"is being written by process {os.getpid()} on " in capsys.readouterr().err
