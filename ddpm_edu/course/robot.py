"""The simulated robot of the page: MuJoCo's model of the Can scene, its bodies to look at, first states."""

from __future__ import annotations

import base64
import importlib.metadata
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from ddpm_edu.data.hdf5 import get_member, open_hdf5
from ddpm_edu.data.validation import data_group, demonstration_names
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.simulation.model_xml import physics_only, with_own_assets
from ddpm_edu.third_party import import_mujoco, robosuite_assets
from ddpm_edu.viz.solids import Solid, solids

STARTS = 8
"""How many demonstrations lend the page their first states."""
ABSENT = ("Milk", "Bread", "Cereal")
"""Bodies of robosuite's scene that stand ten metres away while the can is played."""
NOTICES = """The robot of these pages stands on the work of others.

mujoco.js is npm's mujoco-js 0.0.7, MuJoCo compiled to WebAssembly by Google DeepMind (Apache License 2.0),
changed in two places so that it loads as a plain script. What MuJoCo is made of has the licences below.
robot_data.js holds robosuite's model of its task PickPlaceCan, with its meshes of Franka's Panda, the Rethink
mount, the bins and the can, those that are only looked at made coarser.
controller.js does what robosuite's controllers OSC_POSE and GRIP do.
"""


def recorded(count: int = STARTS) -> tuple[str, np.ndarray]:
    """The model of the first shipped Can demonstration, and the first states of some.

    Args:
        count: of states.

    Returns:
        The model with the assets of the robosuite that is installed; states (count, 71).
    """
    with open_hdf5(shipped_demonstrations("can"), "a clone of the repository has it") as file:
        data = data_group(file)
        groups = [
            get_member(data, name, h5py.Group, "a demonstration is a group")
            for name in demonstration_names(data)[:count]
        ]
        model_xml = str(groups[0].attrs["model_file"])
        states = np.stack([group["states"][0] for group in groups])
    return with_own_assets(model_xml, robosuite_assets()), states


def robot_for_page() -> dict[str, Any]:
    """The scene for `ddpmEdu.Simulation` and `ddpmEdu.Solids`: "xml", "files", "solids", "starts"."""
    model_xml, states = recorded()
    xml, files = physics_only(model_xml)
    model = import_mujoco().MjModel.from_xml_string(model_xml)
    return {
        "xml": xml,
        "files": {name: base64.b64encode(path.read_bytes()).decode() for name, path in files.items()},
        "solids": packed(solids(model, without=ABSENT)),
        "starts": states.tolist(),
    }


def packed(parts: Sequence[Solid]) -> dict[str, Any]:
    """Triangles in 16 bits a number: their places are off by 1/65536 of the part's size at most.

    Args:
        parts: each with fewer than 65,536 vertices.

    Returns:
        "parts", a list of {"body", "color", "low" (3,), "step" (3,), "vertices", "faces"}, the last two how
        many; "numbers", base64 of each part's vertices and faces, one after the other.
    """
    heads, numbers = [], []
    for part in parts:
        low, high = part.vertices.min(axis=0), part.vertices.max(axis=0)
        step = np.maximum(high - low, 1e-9) / 65535
        assert len(part.vertices) < 65536, f"{part.body} has too many vertices"
        numbers += [np.round((part.vertices - low) / step).astype("<u2"), part.faces.astype("<u2")]
        heads.append(
            {
                "body": part.body, "color": part.color, "low": low.round(7).tolist(), "step": step.tolist(),
                "vertices": len(part.vertices), "faces": len(part.faces),
            }
        )  # fmt: skip
    content = b"".join(array.tobytes() for array in numbers)
    return {"parts": heads, "numbers": base64.b64encode(content).decode()}


def plain_script(module: str) -> str:
    """mujoco-js as a script that a page without a server may load: files open no modules.

    Args:
        module: the package's mujoco_wasm.js, which has its WebAssembly in it.
    """
    ending = "export default loadMujoco;"
    assert ending in module, "mujoco_wasm.js ends in another way; look at its version"
    module = module.replace("import.meta.url", '"file:///mujoco.js"')
    module = module.replace(ending, "(globalThis.ddpmEdu ??= {}).loadMujoco = loadMujoco;")
    return f"// mujoco-js 0.0.7, changed to load as a plain script; see NOTICES.txt.\n{module}"


def notices() -> str:
    """Whose work the page's robot stands on, with their licences as the installed packages bring them."""
    texts = [NOTICES]
    for package in ("mujoco", "robosuite"):
        for file in importlib.metadata.files(package) or ():
            if "licenses" in file.parts:
                title = f"{package} {importlib.metadata.version(package)}: {file.name}"
                texts.append(f"{'=' * 100}\n{title}\n{'=' * 100}\n\n{file.read_text()}")
    return "\n\n".join(texts)
