"""The repository's demonstrations and policies for an installation without the repository.

A wheel carries their sizes and checksums, not the files (100 MB): these come from wherever the course is
kept, a clone's `data/` folder, one on the network, or one that a web server serves.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from ddpm_edu.errors import ConfigError, DatasetError, first_line
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
        DatasetError: if a file is not there, cannot be had, breaks off, or is another than the one wanted.
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
            for block in _blocks(place, size):
                out.write(block)
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


def _blocks(place: str, size: int) -> Iterator[bytes]:
    """What stands at a place, which should have `size` bytes, piece by piece.

    Raises:
        DatasetError: if it cannot be had, or breaks off.
    """
    got = 0
    try:
        with _opened(place) as incoming:
            while block := incoming.read(1 << 16):
                got += len(block)
                yield block
            cut = getattr(incoming, "length", 0)  # of an answer: what was announced and did not come
    except http.client.IncompleteRead as error:
        got, cut = got + len(error.partial), True
    except (OSError, ValueError, http.client.HTTPException) as error:
        if got == 0:
            raise DatasetError(
                f"{place}: {_reason(error)}; check --source, and whether the network is there"
            ) from None
        cut = True
    if cut:
        raise DatasetError(
            f"{place} ended after {got:,} of {size:,} bytes; nothing was kept: run the same command again"
        )


def _opened(place: str) -> BinaryIO:
    if place.startswith(("https://", "http://")):
        return urllib.request.urlopen(place, timeout=SECONDS)
    return Path(place).open("rb")


def _reason(error: Exception) -> str:
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return f"no answer of a web server ({first_line(error)})"
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or first_line(error))
