"""A policy for programs without PyTorch: its denoiser as an ONNX file, and in words what surrounds it.

The file holds one step of denoising. What turns it into a decision is little, and stands in the file's
metadata as JSON, so that one file is enough: how observations and actions are normalised, which entries of
the trajectory are given, and the noise levels that sampling visits.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddpm_edu.errors import ConfigError
from ddpm_edu.files import refuse_foreign_file, write_atomically
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.settings import to_dict

FORMAT = "ddpm_edu policy 1"
METADATA = "ddpm_edu"
"""The key in the ONNX file's metadata under which `describe` stands, as JSON."""


def describe(policy: DiffusionPolicy) -> dict[str, Any]:
    """What one needs beside the denoiser to act: plain numbers and words, for JSON.

    Args:
        policy: sees the simulator's state.

    Returns:
        "observation" [{"key", "center" (D,), "scale" (D,)}] in the order in which features are put together;
        "action" {"center" (Da,), "scale" (Da,)}; "trajectory" (T, D), "horizons" and "executed" (first and
        last row of the trajectory that are carried out, the last not included); "inputs" {name: shape
        without B}; "given", the entries (T, D) that inpainting knows (features, and
        actions before now where the policy is told them), or None; "after_now", the features that inpainting
        is given in the steps after now: "repeated" those of now, "zero" zeros, "denoised" none, or None;
        and "process", with the noise levels of `num_inference_steps` steps: "timesteps", and of Gaussian
        diffusion "alpha_bar" (K,).

    Raises:
        ConfigError: if the policy sees cameras: its encoder is not part of the denoiser.
    """
    config = policy.config
    if config.observation != "low_dim":
        raise ConfigError(
            f"the policy sees {config.observation!r}; only policies that see the simulator's state "
            "('low_dim') can be exported, whose observations need no network of their own"
        )
    fields = policy.normalizer
    features = torch.zeros(1, policy.n_obs_steps, policy.obs_encoder.obs_feature_dim)
    past = torch.zeros(1, policy.n_obs_steps - 1, policy.action_dim) if config.needs_past_action else None
    conditions = policy.conditioning.for_sampling(features, past)
    mask = conditions.condition_mask
    executed = range(config.trajectory_steps)[config.executed_of_trajectory]
    return {
        "format": FORMAT,
        "task": config.task,
        "conditioning": config.conditioning,
        "observation": [
            {"key": key.name, **_scale(fields[key.name])} for key in policy.obs_encoder.keys
        ],  # features are these, one after the other
        "action": _scale(fields["action"]),
        "trajectory": list(policy.trajectory_shape(1)[1:]),
        "horizons": {"T": policy.horizon, "To": policy.n_obs_steps, "Ta": policy.n_action_steps},
        "executed": [executed.start, executed.stop],
        "inputs": {name: list(value.shape[1:]) for name, value in conditions.denoiser_inputs.items()},
        "given": None if mask is None else mask[0].int().tolist(),
        "after_now": None if mask is None else config.inpainting.after_now,
        "process": _process(policy),
        "denoiser": {"name": config.denoiser.name, **to_dict(config.denoiser)},
    }


def _scale(field: nn.Module) -> dict[str, list[float]]:
    return {"center": field.center.tolist(), "scale": field.scale.tolist()}


def _process(policy: DiffusionPolicy) -> dict[str, Any]:
    process, config = policy.process, policy.config.process
    described = {"name": config.name, **to_dict(config)}
    if config.name == "gaussian":
        process.noise_scheduler.set_timesteps(config.num_inference_steps)
        described["alpha_bar"] = process.schedule.alpha_bar_float64.tolist()
    described["timesteps"] = process.timesteps.tolist()
    return described


class _Step(nn.Module):
    """The denoiser with its inputs in a row, which is how ONNX names them."""

    def __init__(self, denoiser: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.denoiser, self.names = denoiser, names

    def forward(self, trajectory: Tensor, timestep: Tensor, *given: Tensor) -> Tensor:
        return self.denoiser(trajectory, timestep, **dict(zip(self.names, given, strict=True)))


def export_onnx(policy: DiffusionPolicy, path: str | Path) -> Path:
    """Writes the denoiser of a policy as an ONNX file of any batch size, `describe` in its metadata.

    Its inputs are "trajectory" (B, T, D), "timestep" (B,) and those that `describe` names under "inputs", all
    normalised; its output is "prediction" (B, T, D).

    Args:
        policy: sees the simulator's state.
        path: the file to write; an older one there is replaced.

    Raises:
        ConfigError: as `describe`.
        ConfigError: if something else is there.
    """
    import onnx

    path = Path(path)
    refuse_foreign_file(path, b"\x08", FORMAT.encode(), "exported policy")  # its first field, a version
    description = describe(policy)
    names = list(description["inputs"])
    like = {"dtype": torch.float32, "device": "cpu"}
    trajectory = torch.zeros(2, *description["trajectory"], **like)  # (B, T, D)
    timestep = torch.full((2,), description["process"]["timesteps"][0])  # (B,) of the process's own type
    given = [torch.zeros(2, *description["inputs"][name], **like) for name in names]
    shared = policy.denoiser
    was_training, device = shared.training, policy.device
    file = io.BytesIO()
    try:
        # The older of torch's two exporters: 2 s and one package instead of 20 s and three. It traces, and
        # warns of every look at a shape that it takes for a constant; tests/training/test_export.py compares
        # other batch sizes than the one that is traced here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Step(shared.cpu().eval(), names),
                (trajectory, timestep, *given),
                file,
                dynamo=False,
                opset_version=17,
                input_names=["trajectory", "timestep", *names],
                output_names=["prediction"],
                dynamic_axes={name: {0: "B"} for name in ("trajectory", "timestep", *names, "prediction")},
            )
    finally:
        shared.to(device).train(was_training)
    model = onnx.load_from_string(file.getvalue())
    onnx.helper.set_model_props(model, {METADATA: json.dumps(description)})
    onnx.checker.check_model(model)
    with write_atomically(path) as out:
        out.write(model.SerializeToString())
    return path
