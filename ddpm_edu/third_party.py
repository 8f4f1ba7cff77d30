"""Imports robosuite, robomimic and torchvision so that they work and stay quiet.

Each of them has a trap at import time: robosuite logs five lines that a student cannot act on, robomimic's
simulator wrapper wants a package that its own simulator no longer uses, torchvision dies when its build and
torch's differ, and MuJoCo refuses to load at all when `MUJOCO_GL` names a renderer that is not installed.
Everything in `ddpm_edu` reaches these libraries through the functions below.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import io
import logging
import os
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ddpm_edu.renderers import choose_renderer

_ROBOSUITE_LOGGER = "robosuite_logs"
_torchvision_operators: Any = None  # torch drops the operators when their library object is collected


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Hides what third-party modules print, warn about and log (below ERROR) while they load."""

    def errors_only(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    logger = logging.getLogger(_ROBOSUITE_LOGGER)
    logger.addFilter(errors_only)
    try:
        # robomimic prints its warnings
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeFilter(errors_only)


def import_torchvision() -> types.ModuleType:
    """Imports torchvision, also where its compiled operators do not fit the installed torch.

    PyPI's torchvision is built for CUDA. Beside a CPU build of torch its own operators cannot load, and its
    import then fails on `torchvision::nms`, although nothing here uses it. Declaring the operators without
    an implementation is enough to go on.
    """
    global _torchvision_operators
    try:
        with quiet_imports():
            return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    import torch

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _torchvision_operators = library
    with quiet_imports():
        return importlib.import_module("torchvision")


def import_mujoco() -> types.ModuleType:
    """Imports MuJoCo with a renderer chosen, or with none when the chosen one is not installed.

    MuJoCo reads `MUJOCO_GL` once, at its first import, and fails there if that renderer's library is
    missing. Physics needs no renderer, so the import is then repeated without one; asking for a picture
    later raises `ddpm_edu.errors.SimulatorError`.
    """
    choose_renderer()
    platform = os.environ.get("PYOPENGL_PLATFORM")
    with quiet_imports():
        try:
            return importlib.import_module("mujoco")
        except Exception:
            chosen = os.environ["MUJOCO_GL"]
            os.environ["MUJOCO_GL"] = "disable"
            try:
                return importlib.import_module("mujoco")
            finally:
                os.environ["MUJOCO_GL"] = chosen
                if platform is None:
                    os.environ.pop("PYOPENGL_PLATFORM", None)


def import_robosuite() -> types.ModuleType:
    """Imports robosuite without its log lines; from then on it logs errors only."""
    import_mujoco()
    chosen = os.environ["MUJOCO_GL"]
    with quiet_imports():
        robosuite = importlib.import_module("robosuite")
    os.environ["MUJOCO_GL"] = chosen  # robosuite overwrites it on import
    logging.getLogger(_ROBOSUITE_LOGGER).setLevel(logging.ERROR)
    return robosuite


def robosuite_assets() -> Path:
    """The installed robosuite's folder of meshes and textures, found without the seconds of importing it."""
    spec = importlib.util.find_spec("robosuite")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "robosuite is not installed; install the package's requirements: make setup"
        )
    return Path(spec.origin).parent / "models" / "assets"


def import_robomimic(module: str = "robomimic") -> types.ModuleType:
    """Imports robomimic, or one of its modules ("robomimic.utils.dataset"), with what it needs in place.

    Args:
        module: full name of the module to import.

    Returns:
        The module.
    """
    import_torchvision()
    _provide_mujoco_py()
    if module.startswith(("robomimic.envs", "robomimic.scripts", "robomimic.utils.env_utils")):
        import_robosuite()
    with quiet_imports():
        imported = importlib.import_module(module)
        # robomimic keeps its warnings for later as well, and its scripts print them then
        importlib.import_module("robomimic.utils.log_utils").WARNINGS_BUFFER.clear()
    return imported


def _provide_mujoco_py() -> None:
    """Puts a stand-in for `mujoco_py` in place.

    robomimic 0.3.0 imports it only to name the exception that an unstable simulation raises; robosuite 1.5
    runs on the `mujoco` package and never raises it.
    """
    if "mujoco_py" in sys.modules or importlib.util.find_spec("mujoco_py") is not None:
        return

    def module(name: str) -> types.ModuleType:
        made = types.ModuleType(name, "Stand-in that only names MujocoException.")
        made.__spec__ = importlib.machinery.ModuleSpec(name, loader=None)
        sys.modules[name] = made
        return made

    stand_in, builder = module("mujoco_py"), module("mujoco_py.builder")
    builder.MujocoException = type("MujocoException", (Exception,), {})
    stand_in.builder = builder
