"""What the studio shows: paths in one byte a number, as exact as they are drawn, and a policy's decision."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ddpm_edu.cpu import accelerate_sampling
from ddpm_edu.errors import ConfigError
from ddpm_edu.factory import make_policy
from ddpm_edu.paths import shipped_policy
from ddpm_edu.training.checkpoint import load_policy
from ddpm_edu.viz import studio
from ddpm_edu.viz.denoising import look_ahead


def test_packed_paths_come_back_and_errors_do_not_add_up() -> None:
    rng = np.random.default_rng(0)
    paths = np.array([1.0, 0.3, 0.01])[:, None, None, None] * rng.normal(size=(3, 8, 50, 3)) + 5
    packed = studio.pack_paths(paths)
    back = studio._unpack(packed)
    for level, unit, found in zip(paths, packed["units"], back, strict=True):
        assert np.abs(level - found).max() <= unit / 2 + 1e-9
    assert packed["units"][2] < packed["units"][0] / 20  # the result is told finest


def test_sides_are_those_of_a_person_who_looks_along_the_line() -> None:
    ahead = np.linspace([0, 0, 0], [1, 0, 0], 5)  # x ahead, so y is to the left
    left, right = (
        ahead + [[0, 0.1 * (i in (1, 2, 3)), 0] for i in range(5)],
        ahead * [1, 1, 1] - [[0, 0.1 * (i in (1, 2, 3)), 0] for i in range(5)],
    )
    assert studio.sides(np.stack([left, right]), [2, 0, 0]) == [0, 1]


def test_a_recorded_decision_has_two_ways_and_a_film() -> None:
    policy = load_policy(shipped_policy("can_transformer"))
    accelerate_sampling(policy)
    samplers = {"few": ("ddim", 10), "fewer": ("ddim", 2)}
    record = studio.record_decision(policy, 200_010, samplers, film_decisions=1, count=8)
    runs = record["sets"][0]
    assert [run["name"] for run in runs] == ["few", "fewer"]
    few, fewer = (studio._unpack(run["paths"]) for run in runs)
    assert few.shape == (11, 8, 10, 3)
    assert [len(run["ks"]) for run in runs] == [11, 3]
    np.testing.assert_allclose(few[0], fewer[0], atol=0.002)  # metres; the same noises
    assert {0, 1} == set(runs[0]["kinds"])
    np.testing.assert_allclose(few[-1][:, 0], [record["start"]] * 8, atol=0.001)
    if "picture" in record:  # where there is a renderer
        assert len(record["film"]["pictures"]) == 4
        travelled = np.linalg.norm(np.subtract(record["film"]["hand"][-1], record["start"]))
        planned = np.linalg.norm(few[-1][0][8] - few[-1][0][0])
        assert travelled == pytest.approx(planned, abs=0.04)
    live = studio.studio(record)
    assert "8 paths out of noise" in live.alternative
    assert len(json.dumps({**record, "film": None, "picture": None})) < 20_000
    assert "</script" not in json.dumps(record)


@pytest.mark.parametrize("kind", ["forward", "walks"])
def test_what_the_page_computes_itself_has_a_still(kind: str) -> None:
    u = np.linspace(-1, 1, 16)
    if kind == "forward":
        record = studio.forward_record(
            {"up": np.stack([u, u, u], 1), "down": np.stack([u, u, -u], 1)}, "noise"
        )
    else:
        record = studio.walks_record({"up": [0, 0.6], "down": [0, -0.6]}, 0.05, {"DDIM": (5, 0)}, "walks")
    live = studio.studio(record)
    assert live.still.startswith(b"\x89PNG")
    assert "16 up, 16 down" in live.alternative
    assert "<img" in live.html()


def test_absolute_actions_and_no_samplers_are_refused() -> None:
    with pytest.raises(ConfigError, match="delta"):
        studio.record_decision(make_policy("can", action="absolute"), 0)
    with pytest.raises(ConfigError, match="samplers are empty"):
        studio.record_decision(make_policy("can"), 0, samplers={})


def test_the_first_plan_is_that_of_the_policy_alone() -> None:
    policy = make_policy("can").with_settings(num_inference_steps=10)
    seen = {key.name: np.zeros(key.shape, np.float32) for key in policy.obs_encoder.keys}
    noises = [torch.Generator().manual_seed(seed) for seed in range(3)]
    _, _, action = look_ahead(policy, [seen, seen], [np.zeros(7)], noises)
    obs = {key: torch.zeros(1, 2, *value.shape) for key, value in seen.items()}
    alone = policy.predict_action(obs, generator=[torch.Generator().manual_seed(0)])["action"][0]
    np.testing.assert_allclose(action, alone.numpy(), atol=1e-4)
