"""Which renderer is taken when libraries are not there: they are masked by files that are no libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddpm_edu import renderers

LIBRARIES = {
    "osmesa": [f"libOSMesa.so{suffix}" for suffix in ("", *(f".{number}" for number in range(10)))],
    "egl": ["libEGL.so", "libEGL.so.0", "libEGL.so.1"],
}
DRAW = """
from ddpm_edu.errors import SimulatorError
from ddpm_edu.renderers import choose_renderer, refused
from ddpm_edu.simulation.renderer import Renderer
from ddpm_edu.third_party import import_mujoco
mujoco = import_mujoco()
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom group='1' type='sphere' size='.3' rgba='1 0 0 1'/>"
    "<camera name='above' pos='0 0 2'/></worldbody></mujoco>"
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
try:
    pixel = Renderer(model, 32, 32, fast=False).render(data, "above")[16, 16]
    print(choose_renderer(), pixel[0] > 200 and pixel[1] < 100, dict(refused))
except SimulatorError as error:
    print(error)
"""


def draw(folder: Path, *masked: str, **environment: str) -> str:
    """What a process says that draws a red ball without some of the libraries."""
    for name in masked:
        for library in LIBRARIES[name]:
            (folder / library).write_text("not a library")
    kept = {key: value for key, value in os.environ.items() if key not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    done = subprocess.run(
        [sys.executable, "-c", DRAW],
        env={**kept, "LD_LIBRARY_PATH": str(folder), **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    return done.stdout.strip()


HAS_EGL = renderers.first_that_draws(["egl"]) == "egl"
linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have one renderer")
needs_egl = pytest.mark.skipif(not HAS_EGL, reason="EGL does not draw here")


@linux
def test_a_renderer_is_found_and_draws(tmp_path: Path) -> None:
    assert " True " in draw(tmp_path)


@linux
@needs_egl
def test_without_osmesa_as_mesa_25_1_and_later(tmp_path: Path) -> None:
    assert draw(tmp_path, "osmesa").startswith("egl True ")


@linux
def test_without_egl(tmp_path: Path) -> None:
    assert draw(tmp_path, "egl").startswith("osmesa True ")


@linux
def test_without_any_the_message_names_both_and_what_to_install(tmp_path: Path) -> None:
    said = draw(tmp_path, "osmesa", "egl")
    assert said.startswith("no renderer: ")
    assert all(words in said for words in ("libOSMesa.so", "libEGL.so", "apt-get install", "libosmesa6"))


@linux
def test_what_the_user_chose_is_taken_or_refused_but_not_replaced(tmp_path: Path) -> None:
    assert draw(tmp_path, MUJOCO_GL="osmesa") == "osmesa True {}"
    assert draw(tmp_path, "osmesa", MUJOCO_GL="osmesa").startswith("no renderer: osmesa: ")


@linux
def test_a_gpu_whose_egl_does_not_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of a machine with a GPU, and no driver for it."""
    monkeypatch.setenv("MUJOCO_EGL_DEVICE_ID", "97")
    assert renderers.first_that_draws(["egl", "osmesa"]) == "osmesa"
    assert set(renderers.refused) == {"egl"}
    assert renderers.refused["egl"]


def test_triton_is_loaded_before_mesa(tmp_path: Path) -> None:
    """Both bring LLVM; a process that had drawn died at `import diffusers` where PyTorch's CUDA build is."""
    (tmp_path / "triton.py").write_text(
        "maps = open('/proc/self/maps').read()\nassert 'OSMesa' not in maps, 'too late'\n"
    )
    script = "import sys\n" + DRAW + "print('triton' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.endswith("True\n")
