"""Files that `torch.save` wrote: a zip archive since torch 1.6, one stream before it.

Only names inside the file are looked up; none of them becomes a path on the disk. What is read is bounded by
the file's own size, because nothing in it may be compressed.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.errors import CheckpointError
from ddpm_edu.reference.unpickle import Storage, StoredTensor, read_pickle

_PICKLE_LIMIT = 32 * 2**20
"""Bytes of the part without numbers; those of the published image policies are below one million."""
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Archive(AbstractContextManager["Archive"]):
    """A file of `torch.save`, open for reading; tensors are read when they are asked for.

    Args:
        path: the file.

    Attributes:
        content: what was saved, as `read_pickle` describes it.

    Raises:
        CheckpointError: if it is missing, of another format, broken or cut off.
    """

    content: Any

    def __init__(self, path: Path) -> None:
        self.path = path
        self._storages: dict[Storage, Tensor] = {}
        try:
            self._file = path.open("rb")
        except FileNotFoundError:
            raise CheckpointError(f"{path} does not exist; give a checkpoint of the reference") from None
        except IsADirectoryError:
            raise CheckpointError(f"{path} is a folder; give a checkpoint file of the reference") from None
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            zipped = self._file.read(4) == b"PK\x03\x04"
            self._file.seek(0)
            # Both give a function from a storage to its bytes.
            self._numbers: Callable[[Storage, int], bytes] = (
                self._open_zip() if zipped else self._open_legacy()
            )
        except BaseException as error:
            self._file.close()
            raise self._explained(error) from None

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def tensor(self, stored: StoredTensor) -> Tensor:
        """The numbers of a tensor, on the CPU wherever it was saved from.

        Raises:
            CheckpointError: if they are missing, of another number than described, or of an unknown type.
        """
        storage = stored.storage
        if storage not in self._storages:
            self._storages[storage] = self._read(storage)
        return self._storages[storage].as_strided(stored.shape, stored.stride, stored.offset)

    def _read(self, storage: Storage) -> Tensor:
        if storage.kind not in _DTYPES:
            raise CheckpointError(f"{self.path} holds numbers of type {storage.kind!r}, which no policy has")
        dtype = _DTYPES[storage.kind]
        length = storage.numel * dtype.itemsize
        if length > self._size:
            raise CheckpointError(
                f"{self.path} claims {length} bytes for its storage {storage.key!r}, but has "
                f"{self._size} in all"
            )
        try:
            numbers = self._numbers(storage, length)
        except Exception as error:
            raise self._explained(error) from None
        if len(numbers) != length:
            raise CheckpointError(
                f"{self.path} holds {len(numbers)} bytes of its storage {storage.key!r} instead of {length}; "
                "it is cut off or broken, get it again"
            )
        if length == 0:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(bytearray(numbers), dtype=dtype)

    # ---- the two formats -------------------------------------------------------------------------

    def _open_zip(self) -> Callable[[Storage, int], bytes]:
        archive = zipfile.ZipFile(self._file)
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise CheckpointError("an entry of it is compressed, which torch.save never does")
        if sum(entry.file_size for entry in entries) > self._size:
            raise CheckpointError("its entries claim to be larger than the whole file")
        names = [entry.filename for entry in entries if re.fullmatch(r"[^/]+/data\.pkl", entry.filename)]
        if len(names) != 1:
            raise CheckpointError(f"it holds {len(names)} entries named */data.pkl; torch.save writes one")
        folder = names[0].split("/")[0]
        if f"{folder}/byteorder" in archive.namelist() and archive.read(f"{folder}/byteorder") != b"little":
            raise CheckpointError("its numbers are big-endian; save it again on a little-endian machine")
        if archive.getinfo(names[0]).file_size > _PICKLE_LIMIT:
            raise CheckpointError(f"its data.pkl is larger than {_PICKLE_LIMIT} bytes")
        self.content = read_pickle(io.BytesIO(archive.read(names[0])))

        def numbers(storage: Storage, length: int) -> bytes:
            name = f"{folder}/data/{storage.key}"
            try:
                entry = archive.getinfo(name)
            except KeyError:
                raise CheckpointError(f"it lacks its entry {name!r}") from None
            return archive.read(entry) if entry.file_size == length else b""

        return numbers

    def _open_legacy(self) -> Callable[[Storage, int], bytes]:
        head = io.BytesIO(self._file.read(_PICKLE_LIMIT))
        if read_pickle(head) != _LEGACY_MAGIC:
            raise CheckpointError("it is no file of torch.save")
        read_pickle(head)  # the format's version
        read_pickle(head)  # the machine it was written on
        self.content = read_pickle(head)
        keys = read_pickle(head)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise CheckpointError("its list of storages is broken")
        start = head.tell()
        places: dict[str, tuple[int, int]] = {}

        def numbers(storage: Storage, length: int) -> bytes:
            if not places:
                self._find_legacy_storages(keys, start, places)
            if storage.key not in places:
                raise CheckpointError(f"it lacks its storage {storage.key!r}")
            position, numel = places[storage.key]
            if numel != storage.numel:
                return b""
            self._file.seek(position)
            return self._file.read(length)

        return numbers

    def _find_legacy_storages(self, keys: list[str], start: int, places: dict[str, tuple[int, int]]) -> None:
        """Storages follow each other, each after its number of numbers; their types stand in the pickle."""
        kinds = {storage.key: storage.kind for storage in _storages(self.content)}
        position = start
        for key in keys:
            self._file.seek(position)
            numel = int.from_bytes(self._file.read(8), "little", signed=True)
            if kinds.get(key) not in _DTYPES or not 0 <= numel <= self._size:
                raise CheckpointError(f"its storage {key!r} is of an unknown type or size")
            places[key] = (position + 8, numel)
            position += 8 + numel * _DTYPES[kinds[key]].itemsize

    def _explained(self, error: BaseException) -> BaseException:
        """The error in one line that names the file; what is no error of the file passes through."""
        if isinstance(error, CheckpointError):
            text = str(error)
            return error if str(self.path) in text else CheckpointError(f"{self.path} cannot be read: {text}")
        if isinstance(error, Exception):
            return CheckpointError(
                f"{self.path} cannot be read: it is broken or cut off ({type(error).__name__}); get it again"
            )
        return error


def _storages(content: Any) -> list[Storage]:
    """Every storage that tensors in plain containers refer to."""
    found, waiting, seen = [], [content], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, StoredTensor):
            found.append(value.storage)
        elif isinstance(value, (dict, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return found
