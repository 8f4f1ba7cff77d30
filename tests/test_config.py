"""Configurations refuse what cannot work, and survive JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddpm_edu.config import Config, InpaintingConfig, PolicyConfig, TrainingConfig, VisionConfig
from ddpm_edu.denoisers import TransformerConfig, UnetConfig
from ddpm_edu.errors import ConfigError
from ddpm_edu.factory import make_policy
from ddpm_edu.presets import PRESETS, preset
from ddpm_edu.settings import at_least, differences, from_dict, override, to_dict
from ddpm_edu.tasks import get_task


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("denoiser", ["unet", "transformer"])
@pytest.mark.parametrize("observation", ["low_dim", "image"])
def test_every_preset_survives_json(name, denoiser, observation):
    config = preset(
        "square", denoiser, "inpainting" if denoiser == "transformer" else "local", observation, name
    )
    assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config
    assert (config.policy.task, config.policy.denoiser.name, config.policy.observation) == (
        "square",
        denoiser,
        observation,
    )


@given(
    horizon=st.integers(1, 40),
    n_obs_steps=st.integers(1, 6),
    n_action_steps=st.integers(1, 40),
    levels=st.integers(1, 4),
)
def test_a_horizon_is_accepted_exactly_when_it_can_work(horizon, n_obs_steps, n_action_steps, levels):
    possible = n_obs_steps - 1 + n_action_steps <= horizon and horizon % 2 ** (levels - 1) == 0

    def build():
        return override(
            PolicyConfig(),
            horizon=horizon,
            n_obs_steps=n_obs_steps,
            n_action_steps=n_action_steps,
            down_dims=(8,) * levels,
        )

    if possible:
        assert build().trajectory_steps == horizon
    else:
        with pytest.raises(ConfigError, match=rf"\b{horizon}\b"):
            build()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (dict(horizon=4, n_action_steps=4), r"2 - 1 \+ 4 = 5 exceeds horizon 4"),
        (dict(horizon=10), "horizon 10 is not divisible by 4"),
        (dict(horizon=0), "horizon is 0"),
        (
            dict(denoiser="transformer", conditioning="local"),
            "'local' does not go with the denoiser 'transformer'",
        ),
        (dict(conditioning="inpainting", pred_action_steps_only=True), "needs conditioning 'global'"),
        (dict(pred_action_steps_only=True, n_action_steps=6), "n_action_steps 6 is not divisible by 4"),
        (dict(task="stack"), "task is 'stack'; the tasks are 'can', 'lift', 'square'"),
        (dict(observation="lidar"), "observation is 'lidar'|must be one of"),
        (dict(scheduler="euler"), "euler"),
        (dict(prediction_type="score"), "score"),
        (dict(num_inference_steps=101), "num_inference_steps is 101"),
        (dict(horizn=16), "unknown setting horizn"),
        (dict(horizon="16"), "horizon is '16'; it must be of type int"),
        (dict(down_dims=64), "down_dims is 64; it must be a list"),
        (dict(crop=(76,)), "has 1 entries; it must have 2"),
    ],
)
def test_what_cannot_work_is_refused_by_name(overrides, message):
    with pytest.raises(ConfigError, match=message):
        override(PolicyConfig(), **overrides)


def test_a_policy_can_be_built_without_numbers():
    with torch.device("meta"):
        assert all(parameter.is_meta for parameter in make_policy().denoiser.parameters())


def test_a_network_that_no_memory_holds_is_refused_before_it_is_made():
    with pytest.raises(ConfigError, match=r"weights alone take [\d.]+ GiB, and [\d.]+ .iB are free"):
        make_policy(down_dims=(8192,) * 12, horizon=2048, n_groups=8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(p_drop_attn=1.5), "p_drop_attn is 1.5; it must be at least 0 and below 1"),
        (dict(betas=(0.9, 1.0)), "betas is 1.0; it must be at least 0 and below 1"),
        (dict(horizon=8_000_000_000), "horizon is 8000000000; it must be at least 1 and at most 10,000"),
        (dict(down_dims=(10**6, 10**6)), "down_dims is 1000000"),
        (dict(learning_rate=float("inf")), "learning_rate is inf"),
        (dict(ema_power=float("nan")), "ema_power is nan"),
        (dict(ema_power=-1.0), "ema_power is -1.0"),
        (dict(ema_max_decay=2.0), "ema_max_decay is 2.0"),
        (dict(weight_decay=-1.0), "weight_decay is -1.0"),
        (dict(warmup_steps=-5), "warmup_steps is -5"),
        (dict(seed=2**32), "seed is 4294967296"),
    ],
)
def test_every_number_has_its_range(settings, message):
    denoiser = "transformer" if "p_drop_attn" in settings else "unet"
    with pytest.raises(ConfigError, match=message):
        preset(denoiser=denoiser, **settings)


@pytest.mark.parametrize(
    ("group", "setting", "value", "message"),
    [
        (TrainingConfig, "steps", 10.5, "training.steps is 10.5; it must be of type int"),
        (TrainingConfig, "steps", "10", "training.steps is '10'; it must be of type int"),
        (TrainingConfig, "steps", None, "training.steps is None; it must be of type int"),
        (TrainingConfig, "batch_size", True, "training.batch_size is True; it must be of type int"),
        (
            TrainingConfig,
            "learning_rate",
            10**400,
            "training.learning_rate has more digits than a float holds",
        ),
        (TrainingConfig, "warmup_steps", "5", "training.warmup_steps is '5'"),
        (TrainingConfig, "betas", (0.9,), "training.betas has 1 entries; it must have 2"),
        (TrainingConfig, "betas", [0.9, 5], "training.betas is 5.0; it must be at least 0 and below 1"),
        (PolicyConfig, "exclude_padding", "no", "exclude_padding is 'no'; it must be of type bool"),
        (
            PolicyConfig,
            "denoiser",
            UnetConfig,
            "denoiser is .* must be the name or the settings of a denoiser",
        ),
        (
            PolicyConfig,
            "denoiser",
            UnetConfig(down_dims=()),
            r"down_dims is \(\); it must have at least one level",
        ),
        (PolicyConfig, "denoiser", UnetConfig(kernel_size=4), "kernel_size is 4; it must be odd"),
        (PolicyConfig, "denoiser", UnetConfig(n_groups=3), "n_groups 3 does not divide 256"),
        (PolicyConfig, "denoiser", TransformerConfig(n_head=3), "n_head 3 does not divide n_emb 256"),
        (
            PolicyConfig,
            "denoiser",
            TransformerConfig(n_emb=7, n_head=1),
            "transformer.n_emb is 7; it must be even",
        ),
        (PolicyConfig, "inpainting", {"after_nwo": "zero"}, "unknown setting inpainting.after_nwo"),
        (PolicyConfig, "vision", 3, "vision is 3; it must be a group of settings"),
    ],
)
def test_what_would_come_back_from_no_file_is_refused_when_it_is_made(group, setting, value, message):
    with pytest.raises(ConfigError, match=message):
        group(**{setting: value})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (TrainingConfig(steps=1e4, learning_rate=1, betas=[0, 0.5]), {"steps": 10_000, "betas": (0.0, 0.5)}),
        (PolicyConfig(horizon=np.int64(16), task=get_task("can")), {"horizon": 16, "task": "can"}),
        (PolicyConfig(denoiser=UnetConfig(down_dims=[8, 16])), {"denoiser": UnetConfig(down_dims=(8, 16))}),
        (PolicyConfig(inpainting={"after_now": "zero"}), {"inpainting": InpaintingConfig(after_now="zero")}),
        (VisionConfig(crop=[76.0, 76]), {"crop": (76, 76)}),
    ],
)
def test_what_says_the_same_in_another_type_becomes_the_settings_own(given, kept):
    assert [repr(getattr(given, name)) for name in kept] == list(map(repr, kept.values()))  # 16 is not 16.0
    assert from_dict(type(given), to_dict(given)) == given


def test_a_run_that_was_saved_with_a_float_for_a_number_of_steps_opens():
    values = to_dict(Config())
    values["training"]["steps"] = 10_000.0
    assert repr(from_dict(Config, values).training.steps) == "10000"


@pytest.mark.parametrize("value", [2.5, True, "3", None])
def test_a_count_that_is_no_whole_number_is_refused(value):
    with pytest.raises(ConfigError, match=f"episodes is {value!r}; it must be a whole number of at least 1"):
        at_least("episodes", value)


def test_what_one_configuration_lacks_is_a_difference_and_no_crash():
    old, new = {"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2, "d": 3}, "e": 4}
    assert differences(old, new) == [("b.d", None, 3), ("e", None, 4)]
    assert differences(new, old) == [("b.d", 3, None), ("e", 4, None)]


def test_a_batch_that_cannot_be_split_is_refused():
    with pytest.raises(ConfigError, match=r"batch_size 10 .*gradient_accumulation_steps 4"):
        TrainingConfig(batch_size=10, gradient_accumulation_steps=4)


def test_override_finds_names_at_any_depth():
    config = override(Config(), scheduler="ddpm", steps=3, unet__kernel_size=3)
    assert config.policy.process.scheduler == "ddpm"
    assert config.training.steps == 3
    assert config.policy.denoiser.kernel_size == 3
    assert override(config, **{"policy.unet.kernel_size": 5}).policy.denoiser.kernel_size == 5
