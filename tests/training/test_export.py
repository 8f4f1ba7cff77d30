"""A policy as an ONNX file decides as in PyTorch, by what stands in the file alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from ddpm_edu import cli
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import ConfigError
from ddpm_edu.factory import make_policy
from ddpm_edu.paths import shipped_demonstrations, shipped_policy
from ddpm_edu.training.checkpoint import load_policy
from ddpm_edu.training.export import METADATA, describe, export_onnx

TOLERANCE = 1e-4
SMALL = {"down_dims": (16, 32), "n_groups": 4, "diffusion_step_embed_dim": 16}
B = 3  # not the batch size that is traced


@pytest.fixture(scope="module")
def observations() -> dict[str, np.ndarray]:
    """{key: (B, 2, ...)} from three demonstrations."""
    demonstrations = Demonstrations.read(shipped_demonstrations("can"), "can", max_demonstrations=B)
    starts = [demonstrations.steps(index).start + 20 for index in range(B)]
    return {
        key: np.stack([value[start : start + 2] for start in starts])
        for key, value in demonstrations.obs.items()
    }


def decide(path: Path, obs: dict[str, np.ndarray], noise: np.ndarray) -> np.ndarray:
    """Actions (B, Ta, Da) by DDIM, in NumPy and onnxruntime; noise (B, T, D)."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    features = np.concatenate(
        [(obs[one["key"]] - one["center"]) / one["scale"] for one in about["observation"]], axis=-1
    )  # (B, To, Do)
    inputs = {
        name: features.reshape(len(features), *shape).astype(np.float32)
        for name, shape in about["inputs"].items()
    }
    x, given = noise.astype(np.float64), None
    if about["given"] is not None:
        given = np.array(about["given"], dtype=bool)  # (T, D)
        later = about["horizons"]["T"] - features.shape[1] if about["after_now"] != "denoised" else 0
        after = features[:, -1:] * (about["after_now"] == "repeated")  # (B, 1, Do)
        features = np.concatenate([features, np.repeat(after, later, axis=1)], axis=1)
    process = about["process"]
    steps, alpha_bar = process["timesteps"], process["alpha_bar"]
    for k, following in zip(steps, [*steps[1:], -1], strict=True):
        if given is not None:
            x[:, given] = features.reshape(len(features), -1)
        feeds = {"trajectory": x.astype(np.float32), "timestep": np.full(len(x), k), **inputs}
        epsilon = session.run(None, feeds)[0]
        now, then = alpha_bar[k], alpha_bar[following] if following >= 0 else 1.0
        clean = np.clip((x - (1 - now) ** 0.5 * epsilon) / now**0.5, -1, 1)
        x = then**0.5 * clean + (1 - then) ** 0.5 * epsilon
    first, last = about["executed"]
    action = about["action"]
    return x[:, first:last, : len(action["center"])] * action["scale"] + action["center"]


@pytest.mark.parametrize("name", ["can_transformer", "can_unet", "can_unet_inpainting"])
def test_a_shipped_policy_decides_the_same_from_its_file(
    name: str, observations: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.onnx"
    assert cli.main(["export", str(shipped_policy(name)), "--out", str(file)]) == 0
    assert "MB" in capsys.readouterr().out
    policy = load_policy(shipped_policy(name))
    noise = torch.randn(policy.trajectory_shape(B), generator=torch.Generator().manual_seed(5))
    obs = {key: torch.from_numpy(value) for key, value in observations.items()}
    wanted = policy.predict_action(obs, generator=torch.Generator().manual_seed(5))["action"]
    np.testing.assert_allclose(decide(file, observations, noise.numpy()), wanted.numpy(), atol=TOLERANCE)


@pytest.mark.parametrize("after_now", ["denoised", "repeated", "zero"])
def test_what_inpainting_is_given_after_now_stands_in_the_file(
    after_now: str, observations: dict[str, np.ndarray], tmp_path: Path
) -> None:
    policy = make_policy("can", conditioning="inpainting", after_now=after_now, **SMALL)
    policy.normalizer.fit(Demonstrations.read(shipped_demonstrations("can"), "can", max_demonstrations=2))
    file = export_onnx(policy, tmp_path / "policy.onnx")
    noise = torch.randn(policy.trajectory_shape(B), generator=torch.Generator().manual_seed(5))
    obs = {key: torch.from_numpy(value) for key, value in observations.items()}
    wanted = policy.predict_action(obs, generator=torch.Generator().manual_seed(5))["action"]
    np.testing.assert_allclose(decide(file, observations, noise.numpy()), wanted.numpy(), atol=TOLERANCE)


@pytest.mark.parametrize("settings", [{"conditioning": "local"}, {"process": "flow"}])
def test_every_state_policy_gives_its_prediction(settings: dict[str, str], tmp_path: Path) -> None:
    policy = make_policy("square", **settings, **SMALL)
    file = export_onnx(policy, tmp_path / "policy.onnx")
    about = describe(policy)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    trajectory = torch.randn(policy.trajectory_shape(B))
    step = torch.tensor(about["process"]["timesteps"][:B])
    given = {name: torch.randn(B, *shape) for name, shape in about["inputs"].items()}
    feeds = {"trajectory": trajectory, "timestep": step, **given}
    (found,) = session.run(None, {name: value.numpy() for name, value in feeds.items()})
    policy.eval()
    with torch.no_grad():
        wanted = policy.denoiser(trajectory, step, **given)
    np.testing.assert_allclose(found, wanted.numpy(), atol=TOLERANCE)


def test_past_actions_are_among_the_entries_that_are_given() -> None:
    told = {"conditioning": "inpainting", "past_action_visible": True, "n_obs_steps": 3}
    given = np.array(describe(make_policy("can", **told, **SMALL))["given"])  # (T, D)
    wanted = np.zeros((16, 7 + 23), dtype=int)
    wanted[:2, :7] = wanted[:3, 7:] = 1
    np.testing.assert_array_equal(given, wanted)


def test_a_policy_that_sees_cameras_is_refused(tmp_path: Path) -> None:
    policy = make_policy("can", observation="image", **SMALL)
    with pytest.raises(ConfigError, match="'image'; only policies that see the simulator's state"):
        export_onnx(policy, tmp_path / "policy.onnx")
    assert not (tmp_path / "policy.onnx").exists()
