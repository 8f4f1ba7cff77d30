"""What denoises in the page itself: its JavaScript, and a shipped policy with moments to try it on."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from ddpm_edu.course.robot import notices, plain_script, robot_for_page
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import ConfigError
from ddpm_edu.paths import shipped_demonstrations, shipped_policy
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.training.checkpoint import load_policy
from ddpm_edu.training.export import describe
from ddpm_edu.viz.web import FOLDER

POLICY = "can_transformer"
MOMENTS = (("two ways to go", 27, 1), ("far away", 28, 1), ("the can is held", 3, 70))
"""Names, demonstrations and steps. In the first two, 8 of 16 samples pass on each side."""


def policy_for_page(policy: DiffusionPolicy) -> dict[str, Any]:
    """A transformer policy for `ddpmEdu.TransformerPolicy`: words, and weights of 16 bits in base64.

    Raises:
        ConfigError: for what the page's JavaScript has not: it knows one way to build a transformer.
    """
    about, config = describe(policy), policy.config.denoiser
    known = {"n_cond_layers": 0, "time_as_cond": True}
    if config.name != "transformer" or policy.config.conditioning != "global":
        raise ConfigError("the page knows transformers with global conditioning only")
    for name, value in known.items():
        if getattr(config, name) != value:
            raise ConfigError(f"{name} is {getattr(config, name)}; the page knows {value} only")
    tensors = dict(policy.denoiser.named_parameters())
    weights = b"".join(value.detach().half().numpy().astype("<f2").tobytes() for value in tensors.values())
    shapes = [[name, list(value.shape)] for name, value in tensors.items()]
    return {"about": about, "tensors": shapes, "weights": base64.b64encode(weights).decode()}


def scenes() -> list[dict[str, Any]]:
    """Moments of shipped demonstrations: a name, and what the policy sees then, {key: (To, n)}."""
    read = Demonstrations.read(
        shipped_demonstrations("can"), "can", max_demonstrations=1 + max(demo for _, demo, _ in MOMENTS)
    )
    found = []
    for name, demonstration, step in MOMENTS:
        now = read.steps(demonstration).start + step
        seen = {key: value[now - 1 : now + 1].round(6).tolist() for key, value in read.obs.items()}
        found.append({"name": name, "observation": seen})
    return found


def write_live(out: Path, mujoco: Path) -> None:
    """Puts the scripts, their style, the policy and the robot into a folder of the pages.

    Args:
        out: is made.
        mujoco: mujoco_wasm.js of npm's mujoco-js.
    """
    out.mkdir(parents=True, exist_ok=True)
    for file in (*FOLDER.glob("*.js"), *FOLDER.glob("*.css")):
        shutil.copy(file, out / file.name)
    with torch.no_grad():
        policy = policy_for_page(load_policy(shipped_policy(POLICY)))
    _write(out / "can_data.js", "canData", {"policy": policy, "scenes": scenes()})
    _write(out / "robot_data.js", "robotData", robot_for_page())
    (out / "mujoco.js").write_text(plain_script(mujoco.read_text()))
    (out / "NOTICES.txt").write_text(notices())


def _write(path: Path, name: str, content: dict[str, Any]) -> None:
    """As a script, since files open no files."""
    text = json.dumps(content, separators=(",", ":"))
    path.write_text(f"(globalThis.ddpmEdu ??= {{}}).{name} = {text};\n")
