"""The simulator's model as text that is small and opens on any machine."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ddpm_edu.errors import SimulatorError

_ASSETS = "robosuite/models/assets/"
_REFUSED = {
    "include", "model", "attach", "extension", "plugin", "skin", "hfield", "flexcomp", "composite",
    "replicate",
}  # fmt: skip
"""What could open other files, run other code, or grow without limit; robosuite uses none of it."""


def with_own_assets(model_xml: str, assets: Path) -> str:
    """A recorded model that opens nothing but the meshes and textures of the robosuite that is installed.

    Files are taken by their part after `robosuite/models/assets`, wherever the recording machine, be it one
    with Windows, kept them.

    Args:
        model_xml: a model from a file that somebody else may have written.
        assets: the installed robosuite's folder `models/assets`.

    Raises:
        SimulatorError: if the model is no XML, declares a document type, includes or attaches something, has
            a plugin, or names a file that is not one of robosuite's.
    """
    if "<!DOCTYPE" in model_xml or "<!ENTITY" in model_xml:
        raise SimulatorError("it declares a document type, which could open other files")
    try:
        root = ElementTree.fromstring(model_xml)
    except (ElementTree.ParseError, ValueError) as error:
        raise SimulatorError(f"it is no XML ({error})") from None
    assets = assets.resolve()
    for element in root.iter():
        if element.tag in _REFUSED:
            raise SimulatorError(f"it has an element <{element.tag}>, which is not opened")
        if element.tag == "compiler":
            for folder in ("meshdir", "texturedir", "assetdir"):
                element.attrib.pop(folder, None)
        for name in [name for name in element.attrib if name.startswith("file")]:
            if element.tag not in ("mesh", "texture"):
                raise SimulatorError(f"it has a file in <{element.tag}>, which is not opened")
            element.set(name, str(_asset(element.get(name), assets)))
    return ElementTree.tostring(root, encoding="unicode")


def _asset(named: str, assets: Path) -> Path:
    _, found, part = named.replace("\\", "/").rpartition(_ASSETS)
    if not found:
        raise SimulatorError(f"it names {named!r}, which is none of robosuite's assets")
    try:
        path = (assets / part).resolve(strict=True)
        if path.is_relative_to(assets) and path.is_file():
            return path
    except OSError:
        pass
    raise SimulatorError(f"it names {named!r}, which is not among robosuite's assets here")


def portable_model_xml(model_xml: str) -> str:
    """Shortens a robosuite model for storage beside a demonstration.

    Paths of meshes and textures begin at the folder `robosuite`, which robosuite's `edit_model_xml` replaces
    by its own place on the machine that opens the file; white space between elements goes. So do the types of
    files, which MuJoCo writes for the first environment of a process only, and reads off the names anyway.

    Args:
        model_xml: what robosuite's `sim.model.get_xml()` returns.

    Returns:
        The same model as text.
    """
    root = ElementTree.fromstring(model_xml)
    for element in root.iter():
        element.text = element.tail = None
        element.attrib.pop("content_type", None)
        path = element.get("file")
        if path is not None and "robosuite/" in path:
            element.set("file", "robosuite/" + path.rsplit("robosuite/", 1)[1])
    return ElementTree.tostring(root, encoding="unicode")
