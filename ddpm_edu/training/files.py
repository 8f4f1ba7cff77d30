"""JSON and safetensors: the two formats of a checkpoint, neither of which can run code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ddpm_edu.errors import CheckpointError
from ddpm_edu.files import write_atomically


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    with write_atomically(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        CheckpointError: if the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; the checkpoint is incomplete, use another one") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {_first_line(error)}; use another one") from None


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors as safetensors and sync them to the disk."""
    owned = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(owned, path)
    sync(path)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read safetensors; nothing in such a file can run code.

    Raises:
        CheckpointError: if the file is missing, truncated, or of another format.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; the checkpoint is incomplete, use another one")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable safetensors ({_first_line(error)})") from None


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def split_tensors(state: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """Split nested containers into what JSON holds and the tensors, which `join_tensors` puts back."""
    tensors: dict[str, torch.Tensor] = {}

    def walk(value: Any, where: str) -> Any:
        if isinstance(value, torch.Tensor):
            tensors[where] = value
            return {"$tensor": where}
        if isinstance(value, dict):
            return {"$dict": [[key, walk(child, f"{where}/{key}")] for key, child in value.items()]}
        if isinstance(value, tuple):
            return {"$tuple": [walk(child, f"{where}/{index}") for index, child in enumerate(value)]}
        if isinstance(value, list):
            return [walk(child, f"{where}/{index}") for index, child in enumerate(value)]
        return value

    return walk(state, ""), tensors


def join_tensors(plain: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The inverse of `split_tensors`."""
    if isinstance(plain, dict):
        if "$tensor" in plain:
            return tensors[plain["$tensor"]]
        if "$dict" in plain:
            return {key: join_tensors(child, tensors) for key, child in plain["$dict"]}
        return tuple(join_tensors(child, tensors) for child in plain["$tuple"])
    if isinstance(plain, list):
        return [join_tensors(child, tensors) for child in plain]
    return plain


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
