"""JSON and safetensors: the two formats of a checkpoint, neither of which can run code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from ddpm_edu.errors import CheckpointError, first_line
from ddpm_edu.files import sha256, write_atomically

# What Python raises over JSON that is broken, or made to break a reader: too deep, too large, not text.
JSON_ERRORS = (ValueError, OverflowError, RecursionError, MemoryError)


def write_json(path: Path, content: Any) -> str:
    """Write JSON, whole or not at all; returns its SHA-256."""
    return _write(path, (json.dumps(content, indent=2) + "\n").encode())


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> str:
    """Write tensors as safetensors, whole or not at all; returns the file's SHA-256."""
    owned = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return _write(path, safetensors.torch.save(owned))


def _write(path: Path, content: bytes) -> str:
    with write_atomically(path) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def parse_json(text: bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError, OverflowError, RecursionError, MemoryError: if it is no JSON, or cannot be shown: half of
            a surrogate pair is a string in JSON and cannot be printed.
    """
    content = json.loads(text.decode("utf-8"))
    if b"\\u" in text:
        json.dumps(content, ensure_ascii=False).encode()
    return content


def read_json(path: Path, digest: str | None = None) -> Any:
    """Read JSON.

    Args:
        path: the file.
        digest: the SHA-256 that the file must have, if it is known.

    Raises:
        CheckpointError: if the file is missing, is not JSON, or is not the one that was written.
    """
    try:
        _refuse_another_file(path, digest)
        return parse_json(path.read_bytes())
    except (OSError, *JSON_ERRORS) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is not readable JSON: {first_line(error)}; use another one") from None


def read_tensors(path: Path, digest: str | None = None) -> dict[str, torch.Tensor]:
    """Read safetensors; nothing in such a file can run code.

    Args:
        path: the file.
        digest: the SHA-256 that the file must have, if it is known.

    Raises:
        CheckpointError: if the file is missing, truncated, of another format, or not what was written.
    """
    try:
        _refuse_another_file(path, digest)
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError, RuntimeError, *JSON_ERRORS) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is not readable safetensors ({first_line(error)})") from None


def _refuse_another_file(path: Path, digest: str | None) -> None:
    if not path.is_file():  # a pipe would be waited for
        what = "is not a file" if path.exists() else "is missing"
        raise CheckpointError(f"{path} {what}; the checkpoint is incomplete, use another one")
    if digest is not None and sha256(path) != digest:
        raise CheckpointError(
            f"{path} is not what was written: its SHA-256 differs from the one in policy.json; "
            "copy it again, or use another checkpoint"
        )


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
