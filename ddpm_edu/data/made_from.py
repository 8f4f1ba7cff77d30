"""What a file of demonstrations was made from: it stands in the file, so that none is taken for another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddpm_edu.data.hdf5 import READ_ERRORS, open_hdf5
from ddpm_edu.errors import ConfigError


def made_from(path: str | Path, kind: str) -> dict[str, Any] | None:
    """What a complete file was made from, as its writer put it into an attribute of `data`.

    Args:
        path: the file.
        kind: the attribute: "collection", "rendering", …

    Returns:
        None if the file is something else, broken, or not there.
    """
    try:
        with open_hdf5(Path(path), "make it first") as file:
            found = json.loads(file["data"].attrs[kind])
    except (*READ_ERRORS, TypeError):  # a DatasetError among them
        return None
    return found if isinstance(found, dict) else None


def refuse_another(path: Path, found: object, wanted: Mapping[str, Any]) -> None:
    """Refuses a file that an earlier call made from other things than this one would.

    Args:
        path: the file, which this command makes where it is missing.
        found: what it says that it was made from.
        wanted: what it would be made from now: {option: value}, files by the SHA-256 of their content.

    Raises:
        ConfigError: naming the first option that differs.
    """
    mend = f"choose another --run-dir, or remove {path.name}, and it is made anew"
    if not isinstance(found, Mapping):
        raise ConfigError(f"{path} does not say what it was made from; {mend}")
    for name, value in wanted.items():
        if found.get(name) == value:
            continue
        if isinstance(value, int):
            raise ConfigError(
                f"{path} was made with --{name} {found.get(name)}, and {value} is asked for; {mend}"
            )
        raise ConfigError(f"{path} was made from other --{name} (by content) than are named now; {mend}")
