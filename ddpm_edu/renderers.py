"""Which of MuJoCo's renderers draws on this machine.

A library that is installed need not draw: EGL wants a driver for the GPU that is there, GLFW a screen. So
what is not certain is tried, in a process of its own, because a broken driver takes its process with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SECONDS = 60
"""A trial takes about one; a driver that hangs has not drawn."""

MODULES = {
    "egl": "mujoco.egl",
    "osmesa": "mujoco.osmesa",
    "glfw": "mujoco.glfw",
    "cgl": "mujoco.cgl",
    "wgl": "mujoco.glfw",
}
"""By the value of MUJOCO_GL: where its `GLContext` is."""

# Debian's names; Mesa 25.1 dropped OSMesa, and its EGL draws in software as well.
INSTALL = {"egl": "libegl1 libegl-mesa0", "osmesa": "libosmesa6", "glfw": "libglfw3"}

refused: dict[str, str] = {}
"""What was tried in vain by this process, and why."""

_TRIAL = """
import importlib, os, sys

def draw():
    import mujoco, numpy
    context = importlib.import_module(sys.argv[1]).GLContext(64, 64)
    context.make_current()
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><light pos='0 0 3'/><geom type='sphere' size='.3' rgba='1 0 0 1'/>"
        "<camera name='c' pos='0 0 2'/></worldbody></mujoco>"
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    drawing = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150)
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, drawing)
    scene, camera, view = mujoco.MjvScene(model, 10), mujoco.MjvCamera(), mujoco.MjrRect(0, 0, 64, 64)
    camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
    everything = mujoco.mjtCatBit.mjCAT_ALL
    mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, camera, everything, scene)
    mujoco.mjr_render(view, scene, drawing)
    picture = numpy.zeros((64, 64, 3), "uint8")
    mujoco.mjr_readPixels(picture, None, view, drawing)
    red, green, _ = picture[32, 32]
    return "drew" if red > 200 and green < 100 else "the picture is empty"

try:
    said = draw()
except BaseException as error:
    said = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
print(said, flush=True)
os._exit(0)  # some drivers complain when they are taken down
"""


def choose_renderer() -> str:
    """Sets `MUJOCO_GL`, where it is unset, to a renderer that draws on this machine. Returns its value.

    On Linux EGL comes first where there is a GPU, OSMesa (software) where there is none, each followed by the
    other. Where none draws, the first is set, and `refused` says of each why not.
    """
    _load_triton_before_mesa()
    if not os.environ.get("MUJOCO_GL"):
        candidates = _candidates()
        os.environ["MUJOCO_GL"] = first_that_draws(candidates) or candidates[0]
    return os.environ["MUJOCO_GL"].lower().strip()


def _load_triton_before_mesa() -> None:
    """Imports triton, if it is installed, as it is with PyTorch's CUDA build.

    Mesa draws with LLVM, and triton brings an LLVM of its own, which crashes the process if it is loaded
    after Mesa's: a notebook's kernel that had drawn a picture died at `import diffusers`, without a word.
    """
    if platform.system() == "Linux" and importlib.util.find_spec("triton") is not None:
        with contextlib.suppress(ImportError):  # a broken one is imported by nobody else either
            importlib.import_module("triton")


def _candidates() -> tuple[str, ...]:
    system = platform.system()
    if system != "Linux":
        return {"Darwin": ("cgl",), "Windows": ("wgl",)}.get(system, ("glfw",))
    has_gpu = Path("/dev/nvidia0").exists() or any(Path("/dev/dri").glob("renderD*"))
    ours = ("egl", "osmesa") if has_gpu else ("osmesa", "egl")
    demanded = os.environ.get("PYOPENGL_PLATFORM", "").lower()
    ours = tuple(name for name in ours if demanded in ("", name)) or ours
    return (*ours, "glfw") if os.environ.get("DISPLAY") else ours


def first_that_draws(candidates: Sequence[str]) -> str | None:
    """The first of some renderers that draws a picture here, or None; `refused` says why others were not it.

    The only one of a system, and OSMesa where its library loads, are taken without a trial: OSMesa draws into
    ordinary memory and needs nothing else.
    """
    refused.clear()
    if len(candidates) == 1 and candidates[0] in ("cgl", "wgl"):
        return candidates[0]
    for name in candidates:
        why = _why_not(name)
        if not why:
            return name
        refused[name] = why
    return None


def _why_not(name: str) -> str:
    """Why a renderer does not draw here; empty where it does."""
    if name in ("osmesa", "egl"):
        stem = {"osmesa": "libOSMesa.so", "egl": "libEGL.so"}[name]
        if not any(_loads(f"{stem}{suffix}") for suffix in ("", ".1", ".8", ".6")):
            return f"{stem} is not installed"
        if name == "osmesa":
            return ""
    try:
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL, MODULES[name]],
            env=os.environ | {"MUJOCO_GL": name},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"it hung for {SECONDS} s"
    said = (trial.stdout.strip().splitlines() or [f"it ended with code {trial.returncode}"])[-1]
    return "" if said == "drew" else said


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
