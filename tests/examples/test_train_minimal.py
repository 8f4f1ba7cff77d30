"""The one-page example: short, the Trainer's own curve, and what it saves acts."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ddpm_edu.cpu import accelerate_training
from ddpm_edu.paths import REPOSITORY
from ddpm_edu.presets import preset
from ddpm_edu.training.checkpoint import load_policy
from ddpm_edu.training.log import read_log
from ddpm_edu.training.trainer import Trainer

PAGE = REPOSITORY / "examples" / "train_minimal.py"
SMALL = {
    "unet": {"down_dims": (16, 32), "n_groups": 4, "diffusion_step_embed_dim": 16},
    "transformer": {"n_layer": 2, "n_head": 2, "n_emb": 32, "p_drop_attn": 0.1},
}


@pytest.fixture(scope="module")
def page():
    spec = importlib.util.spec_from_file_location("train_minimal", PAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_one_page() -> None:
    assert len(PAGE.read_text().splitlines()) <= 150
    assert "Trainer(" not in PAGE.read_text()


@pytest.mark.parametrize(
    ("denoiser", "conditioning"), [("unet", "global"), ("transformer", "global"), ("unet", "inpainting")]
)
def test_its_losses_and_its_average_are_the_trainers(page, tmp_path: Path, denoiser: str, conditioning: str):
    config = preset(
        "can",
        denoiser,
        conditioning,
        **SMALL[denoiser],
        steps=20,
        batch_size=32,
        warmup_steps=5,
        log_every=1,
        validate_every=100,
        max_demonstrations=5,
        seed=3,
    )
    _, average, losses = page.train(config, progress=None)
    trainer = Trainer(config, tmp_path)
    if denoiser == "transformer":  # its faster forward pass draws dropout's masks from other random numbers
        accelerate_training(trainer.policy, on=False)
    trainer.run(progress=False)
    expected = [entry["loss"] for entry in read_log(tmp_path) if "loss" in entry]
    assert len(losses) == len(expected) == 20
    torch.testing.assert_close(torch.tensor(losses), torch.tensor(expected), rtol=1e-4, atol=1e-6)
    for name, value in trainer.ema.module.state_dict().items():
        torch.testing.assert_close(average.state_dict()[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_what_it_saves_is_loaded_and_acts(page, tmp_path: Path) -> None:
    config = preset("can", **SMALL["unet"], steps=3, batch_size=8, max_demonstrations=2)
    policy, average, _ = page.train(config, progress=None)
    page.save(tmp_path / "step_00000003", config, policy, average)
    loaded = load_policy(tmp_path)
    assert loaded.config == config.policy
    for name, value in average.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert page.act(loaded, seed=200_000, max_steps=20) is False  # three steps teach nothing


@pytest.mark.slow
def test_the_command_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, PAGE, "--steps", "20", "--episodes", "0", "--out", tmp_path / "checkpoints"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "0 of 0 episodes succeeded" in done.stdout
    assert load_policy(tmp_path).config == preset("can").policy
