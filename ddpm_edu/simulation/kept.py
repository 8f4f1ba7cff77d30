"""One demonstration as a file of its own.

Collecting and rendering keep each finished demonstration at once, so that a stop costs what was begun only.
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ddpm_edu.data.writer import Demonstration
from ddpm_edu.errors import ConfigError, DatasetError, first_line
from ddpm_edu.files import write_atomically

READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)
"""What reading a damaged zip of arrays and JSON raises."""


def prepare_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Makes the folder in which finished demonstrations are kept; what other settings left in it is removed.

    Raises:
        ConfigError: if something else has its name.
    """
    marker = folder / "settings.json"
    if folder.is_symlink() or folder.exists():
        try:
            found = json.loads(marker.read_text())
            ours = "recipe" in found and not folder.is_symlink()
        except (OSError, ValueError, TypeError):
            found, ours = None, folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())
        if not ours:
            raise ConfigError(
                f"{folder} is wanted for what is finished, and holds something else; move it away"
            )
        if found != settings:
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for half in folder.glob("*.partial"):  # of a process that was killed
        half.unlink()
    if not marker.exists():
        with write_atomically(marker) as file:
            file.write(json.dumps(settings, indent=4).encode())


def save_demonstration(path: Path, demonstration: Demonstration) -> None:
    """Writes a demonstration as a zip of arrays and texts, whole or not at all."""
    with (
        write_atomically(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        _write(archive, demonstration)


def _write(archive: zipfile.ZipFile, demonstration: Demonstration) -> None:
    arrays = {f"obs/{key}": value for key, value in demonstration.obs.items()}
    arrays |= {name: getattr(demonstration, name) for name in ("actions", "states", "rewards")}
    for name, value in arrays.items():
        with archive.open(f"{name}.npy", "w") as file:
            np.lib.format.write_array(file, np.ascontiguousarray(value), allow_pickle=False)
    archive.writestr("model.xml", demonstration.model_xml)
    archive.writestr("attributes.json", json.dumps(demonstration.attributes))


def load_demonstration(path: Path) -> Demonstration:
    """Reads what `save_demonstration` wrote; pickled arrays, which can hold code, are refused.

    Raises:
        DatasetError: if the file is damaged or was not written by `save_demonstration`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {}
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as file:
                        arrays[name.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
            return Demonstration(
                obs={
                    name.removeprefix("obs/"): value
                    for name, value in arrays.items()
                    if name.startswith("obs/")
                },
                actions=arrays["actions"],
                states=arrays["states"],
                rewards=arrays["rewards"],
                model_xml=archive.read("model.xml").decode(),
                attributes=json.loads(archive.read("attributes.json")),
            )
    except READ_ERRORS as error:
        raise DatasetError(
            f"{path} is damaged ({first_line(error)}); remove it and run the same command again"
        ) from None
