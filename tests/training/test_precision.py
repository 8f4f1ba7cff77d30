"""Which arithmetic a run is trained in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ddpm_edu.errors import ConfigError
from ddpm_edu.presets import preset
from ddpm_edu.training import precision
from ddpm_edu.training.checkpoint import Checkpoint, save_checkpoint
from ddpm_edu.training.precision import speed_of_bf16, with_precision


def test_a_policy_of_state_stays_in_float32_without_measuring(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delattr(precision, "speed_of_bf16")
    config, words = with_precision(preset("can", mixed_precision="auto"), tmp_path)
    assert (config.training.mixed_precision, words) == ("no", "")


@pytest.mark.parametrize(("speed", "decided", "word"), [(1.8, "bf16", "in bf16"), (0.09, "no", "in float32")])
def test_cameras_train_in_what_is_faster_here(monkeypatch, tmp_path: Path, speed, decided, word) -> None:
    monkeypatch.setattr(precision, "speed_of_bf16", lambda device: speed)
    config, words = with_precision(preset("can", observation="image", mixed_precision="auto"), tmp_path)
    assert config.training.mixed_precision == decided
    assert word in words
    assert f"{speed:.2g} times" in words


def test_a_run_that_exists_keeps_its_precision(monkeypatch, tmp_path: Path) -> None:
    config = preset("can", observation="image", mixed_precision="auto")
    begun = preset("can", observation="image", mixed_precision="bf16")
    save_checkpoint(tmp_path / "checkpoints", Checkpoint(1, begun, None, {"a": torch.zeros(1)}, None, {}))
    monkeypatch.setattr(precision, "speed_of_bf16", lambda device: 0.1)
    assert with_precision(config, tmp_path)[0] == begun


def test_what_is_asked_for_is_taken(tmp_path: Path) -> None:
    for asked in ("no", "bf16"):
        config = preset("can", observation="image", mixed_precision=asked)
        assert with_precision(config, tmp_path) == (config, "")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the refusal is of CPUs")
def test_fp16_on_a_cpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'fp16', which needs a GPU.*'auto', 'bf16' or 'no'"):
        with_precision(preset("can", mixed_precision="fp16"), tmp_path)


def test_measuring_gives_a_ratio_and_draws_nothing() -> None:
    before = torch.get_rng_state()
    assert 0 < speed_of_bf16() < 100
    assert torch.equal(torch.get_rng_state(), before)
