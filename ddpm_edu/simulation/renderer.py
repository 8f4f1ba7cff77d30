"""Pictures of the scene, through MuJoCo's own renderer, as robomimic makes them but faster.

robosuite renders into a 640 x 480 buffer, twice where something reflects, and draws the whole arm also for
the camera that sits on its hand and never sees it. Software rendering pays for each of these. `Renderer`
decides for collecting, replays and evaluation alike, so that a policy is judged on the kind of image that it
has learned from.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import Any

import numpy as np

from ddpm_edu.errors import SimulatorError, first_line
from ddpm_edu.renderers import INSTALL, MODULES, choose_renderer, refused
from ddpm_edu.third_party import import_mujoco

# MuJoCo draws geoms by group. 1 holds what is to be seen, 0 the shapes for collisions. The arm's links move
# to this free group, so that one camera can leave them out.
_ARM_GROUP = 4
_EYE_IN_HAND = "robot0_eye_in_hand"


class Renderer:
    """Renders one model at one size.

    Args:
        model: the compiled `mujoco.MjModel`.
        height: in pixels.
        width: in pixels.
        fast: leave out reflections, and the arm's links from the hand's camera; False renders as
            robosuite does, for comparison.

    Raises:
        SimulatorError: if no renderer is available.
    """

    def __init__(self, model: Any, height: int, width: int, fast: bool = True) -> None:
        mujoco = import_mujoco()
        self._mujoco = mujoco
        self._gl: Any = None
        self._model = model
        self._height, self._width = height, width
        self._gl = _gl_context(width, height)
        self._gl.make_current()
        size = (model.vis.global_.offwidth, model.vis.global_.offheight)
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150)
        model.vis.global_.offwidth, model.vis.global_.offheight = size
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=2000)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._options = mujoco.MjvOption()
        self._options.geomgroup[0] = 0
        self._options.geomgroup[1] = 1
        self._fast = fast
        if fast:
            self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
            _group_arm(mujoco, model)

    def render(self, data: Any, camera: str) -> np.ndarray:
        """One picture.

        Args:
            data: the `mujoco.MjData` to draw; positions of bodies and cameras must be up to date.
            camera: name of a camera of the model.

        Returns:
            uint8 (height, width, 3), upright.

        Raises:
            SimulatorError: if the model has no such camera.
        """
        mujoco = self._mujoco
        self._camera.fixedcamid = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
        if self._camera.fixedcamid < 0:
            names = [self._model.camera(i).name for i in range(self._model.ncam)]
            raise SimulatorError(f"there is no camera {camera!r}; the cameras are {', '.join(names)}")
        self._options.geomgroup[_ARM_GROUP] = not (self._fast and camera == _EYE_IN_HAND)
        self._gl.make_current()  # another renderer of this process may have been used since
        viewport = mujoco.MjrRect(0, 0, self._width, self._height)
        mujoco.mjv_updateScene(
            self._model, data, self._options, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        mujoco.mjr_render(viewport, self._scene, self._context)
        image = np.empty((self._height, self._width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(image, None, viewport, self._context)
        return image[::-1].copy()  # OpenGL's rows run from the bottom up

    def close(self) -> None:
        """Frees the graphics context; the renderer cannot be used afterwards."""
        if self._gl is not None:
            # textures are freed in whichever context is current: it has to be this one
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # half built, or the interpreter is going down
            self.close()


def _group_arm(mujoco: Any, model: Any) -> None:
    """Moves the visible geoms of the arm, without the hand and its fingers, into a group of their own."""
    for body in range(model.nbody):
        name = model.body(body).name
        if name.startswith(("robot0_link", "robot0_base", "fixed_mount0")):
            first = model.body_geomadr[body]
            for geom in range(first, first + model.body_geomnum[body]):
                if model.geom_group[geom] == 1:
                    model.geom_group[geom] = _ARM_GROUP


def _gl_context(width: int, height: int) -> Any:
    name = choose_renderer()
    if name not in MODULES:
        raise SimulatorError(
            f"MUJOCO_GL is {name!r}, which renders nothing; unset it, or choose one: 'egl' or 'osmesa'"
        )
    try:
        return importlib.import_module(MODULES[name]).GLContext(width, height)
    except Exception as error:
        refused[name] = refused.get(name) or first_line(error).rstrip(".")
        reasons = "; ".join(f"{other}: {why}" for other, why in refused.items())
        raise SimulatorError(f"no renderer: {reasons}; {_advice(name)}") from error


def _advice(name: str) -> str:
    platform = os.environ.get("PYOPENGL_PLATFORM")
    if platform not in (None, "", name):
        return f"unset PYOPENGL_PLATFORM, which is {platform}"
    if name not in INSTALL:
        return "pictures need a session with a screen on this system"
    other = "osmesa" if name == "egl" else "egl"
    return f"install one with 'apt-get install {INSTALL[name]}' or, for MUJOCO_GL={other}, {INSTALL[other]}"
