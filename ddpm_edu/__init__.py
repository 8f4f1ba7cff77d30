"""Learn denoising diffusion for robot manipulation by building it.

The names below load their module when they are first used, so that `import ddpm_edu` costs milliseconds and
not the seconds that torch and the simulator take.
"""

from __future__ import annotations

import importlib
from typing import Any

from ddpm_edu.threads import wait_without_spinning

wait_without_spinning()  # before torch is loaded, which reads it then

_PUBLIC = {
    "CAN": "ddpm_edu.tasks",
    "SQUARE": "ddpm_edu.tasks",
    "TASKS": "ddpm_edu.tasks",
    "Task": "ddpm_edu.tasks",
    "get_task": "ddpm_edu.tasks",
    "UserError": "ddpm_edu.errors",
    "Config": "ddpm_edu.config",
    "preset": "ddpm_edu.presets",
    "shipped_demonstrations": "ddpm_edu.paths",
    "Demonstrations": "ddpm_edu.data.demonstrations",
    "Windows": "ddpm_edu.data.windows",
    "Normalizer": "ddpm_edu.data.normalizer",
    "DiffusionPolicy": "ddpm_edu.policy",
    "make_policy": "ddpm_edu.factory",
    "Trainer": "ddpm_edu.training.trainer",
    "load_policy": "ddpm_edu.training.checkpoint",
    "make_env": "ddpm_edu.simulation.env",
    "rollout": "ddpm_edu.simulation.rollout",
}

__all__ = [*sorted(_PUBLIC), "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = importlib.import_module("importlib.metadata").version("ddpm_edu")
    elif name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
    else:
        raise AttributeError(f"module 'ddpm_edu' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
