"""The repository's demonstrations and policies for an installation without the repository.

A wheel carries their sizes and checksums, not the files (100 MB): these come from wherever the course is
kept, a clone's `data/` folder, one on the network, or one that a web server serves.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from ddpm_edu.errors import ConfigError, DatasetError
from ddpm_edu.files import sha256, write_atomically

MANIFEST = Path(__file__).with_name("shipped.json")
SOURCE = "DDPM_EDU_SOURCE"
"""The environment variable that names where the files come from."""
SECONDS = 60


def manifest(path: Path = MANIFEST) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of every file, by its place below `data/`.

    Raises:
        ConfigError: in a clone, which has the files themselves.
    """
    if not path.is_file():
        raise ConfigError(
            "this ddpm_edu is a clone of the repository, whose data/ has the files; "
            "if one is missing: git checkout -- data"
        )
    return {name: (size, digest) for name, (size, digest) in json.loads(path.read_text()).items()}


def fetch(
    names: Sequence[str], source: str | None, target: Path, listed: dict[str, tuple[int, str]]
) -> Iterator[tuple[str, str]]:
    """Brings what is missing or damaged; a file appears under its name only with the right checksum.

    Args:
        names: files, or folders with all that is in them; all, if none is named.
        source: folder or http(s) address of the repository's `data/`; by default what DDPM_EDU_SOURCE says.
        target: the folder to fill.
        listed: see `manifest`.

    Yields:
        Each file's name, and "fetched" or "was there already", as it comes.

    Raises:
        ConfigError: if a name is unknown, or nothing says where the files are.
        DatasetError: if a file is not there, cannot be had, or is another than the one wanted.
    """
    chosen = [file for file in listed if not names or any(_within(file, name) for name in names)]
    for name in names:
        if not any(_within(file, name) for file in listed):
            tops = sorted({"/".join(file.split("/")[:2]) for file in listed})
            raise ConfigError(f"there is no {name!r} to fetch; there are {', '.join(tops)}")
    for file in chosen:
        size, digest = listed[file]
        path = target / file
        if path.is_file() and path.stat().st_size == size and sha256(path) == digest:
            yield file, "was there already"
            continue
        source = source or os.environ.get(SOURCE)
        if not source:
            raise ConfigError(
                "nothing says where the files are; name the repository's data folder, or its address: "
                f"--source /path/to/ddpm_edu/data (or set {SOURCE})"
            )
        place = f"{str(source).rstrip('/')}/{file}"
        with write_atomically(path) as out:
            with _opened(place) as incoming:
                shutil.copyfileobj(incoming, out, 1 << 20)
            out.flush()
            found = sha256(out.name)
            if found != digest:
                raise DatasetError(
                    f"{place} is not this version's file (its SHA-256 {found[:12]}…, wanted {digest[:12]}…); "
                    "nothing was kept: name a source of the same version"
                )
        yield file, "fetched"


def _within(file: str, name: str) -> bool:
    name = name.strip("/")
    return file == name or file.startswith(f"{name}/") or file.rpartition(".")[0] == name


@contextlib.contextmanager
def _opened(place: str) -> Iterator[BinaryIO]:
    try:
        if place.startswith(("https://", "http://")):
            with urllib.request.urlopen(place, timeout=SECONDS) as answer:
                yield answer
        else:
            with Path(place).open("rb") as file:
                yield file
    except (urllib.error.URLError, TimeoutError, ConnectionError, FileNotFoundError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise DatasetError(f"{place}: {reason}; check --source, and whether the network is there") from None
