"""The simulator's model as text that is small and opens on any machine."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile
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
    with Windows, kept them. Where that folder had another name, the file is taken whose place ends in the
    same way, if there is one alone.

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
    if found:
        try:
            path = (assets / part).resolve(strict=True)
            if path.is_relative_to(assets) and path.is_file():
                return path
        except OSError:
            pass
    # A copy of the folder has another name: what counts is how much of the end is the same.
    parts = [part.lower() for part in named.replace("\\", "/").split("/")]
    best, alike = [], 1
    for own in _files(assets):
        same = _same_at_the_end(parts, [part.lower() for part in own.relative_to(assets).parts])
        if same >= alike:
            best, alike = [*(best if same == alike else ()), own], same
    if len(best) == 1:
        return best[0]
    if best:
        raise SimulatorError(
            f"it names {named!r}, and robosuite has {len(best)} files of that name; the path must go on from "
            f"{_ASSETS}"
        )
    where = "not among robosuite's assets here" if found else "none of robosuite's assets"
    raise SimulatorError(f"it names {named!r}, which is {where}")


@lru_cache(maxsize=2)
def _files(assets: Path) -> list[Path]:
    """Every file below a folder that really lies there."""
    found = [path for path in sorted(assets.rglob("*")) if path.is_file()]
    return [path for path in found if path.resolve().is_relative_to(assets)]


def _same_at_the_end(parts: Sequence[str], own: Sequence[str]) -> int:
    pairs = zip(reversed(parts), reversed(own), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


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


def physics_only(model_xml: str) -> tuple[str, dict[str, Path]]:
    """A model without what is only looked at; it moves as the whole one does, to the last digit.

    Geoms that touch nothing go, with cameras, lights, textures and the meshes that nothing uses any more.
    What touches keeps its own mesh, since contacts depend on every vertex.

    Args:
        model_xml: a model whose assets lie here, as `with_own_assets` returns.

    Returns:
        The model as text, its files named without a folder; and where each of those files lies.
    """
    root = ElementTree.fromstring(model_xml)
    used, files = set(), {}
    for parent in list(root.iter()):
        for element in list(parent):
            touches_nothing = element.get("contype") == "0" and element.get("conaffinity") == "0"
            if element.tag in ("camera", "light", "visual") or (element.tag == "geom" and touches_nothing):
                parent.remove(element)
            elif element.tag == "geom":
                element.attrib.pop("material", None)
                used.add(element.get("mesh"))
    assets = root.find("asset")
    if assets is not None:
        for asset in list(assets):
            if asset.tag != "mesh" or asset.get("name") not in used:
                assets.remove(asset)
                continue
            path = Path(asset.get("file", ""))
            files[f"{asset.get('name')}{path.suffix}"] = path
            asset.set("file", f"{asset.get('name')}{path.suffix}")
    return ElementTree.tostring(root, encoding="unicode"), files
