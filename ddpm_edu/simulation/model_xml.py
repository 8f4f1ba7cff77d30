"""The simulator's model as text that is small and opens on any machine."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree


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
