"""Fetches robomimic's published demonstrations from the Hugging Face hub.

robomimic 0.5 names the files (`robomimic/__init__.py`, `HF_REPO_ID`): `v1.5/<task>/<type>/low_dim_v15.hdf5`
has states, actions and low-dim observations, `demo_v15.hdf5` states and actions alone. There are none with
images: `ddpm_edu.simulation.render_file` makes them. ph are 200 demonstrations by one practised operator, mh
300 by six.

huggingface_hub 2 throws away what a killed download had fetched (each process begins a file of its own). Here
the bytes wait beside the file, under a name that holds their checksum, and the next call asks for the rest.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from ddpm_edu.errors import ConfigError, DatasetError
from ddpm_edu.files import lock_file, sha256
from ddpm_edu.tasks import Task, get_task

REPOSITORY = "robomimic/robomimic_datasets"
REVISION = "74fa018461f479cd9fd15b924a16103012096203"
"""A commit, so that the same command fetches the same bytes in years; "main" takes what is newest."""

DemonstrationType = Literal["ph", "mh"]
Content = Literal["low_dim", "raw"]
_STEMS = {"low_dim": "low_dim", "raw": "demo"}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Download:
    """What a download came to.

    Attributes:
        path: the file.
        size: bytes.
        sha256: its checksum, as the hub names it and as computed from the file.
        resumed: bytes that an earlier, stopped download had fetched; `size` if the file was there already.
    """

    path: Path
    size: int
    sha256: str
    resumed: int


def hub_path(task: str | Task, type: DemonstrationType = "ph", content: Content = "low_dim") -> str:
    """The file's place in the repository, such as "v1.5/can/ph/low_dim_v15.hdf5".

    Raises:
        ConfigError: if there is no such file.
    """
    if type not in ("ph", "mh") or content not in _STEMS:
        raise ConfigError(f"type is {type!r} and content {content!r}; they are ph or mh, and low_dim or raw")
    return f"v1.5/{get_task(task).name}/{type}/{_STEMS[content]}_v15.hdf5"


def download(
    task: str | Task,
    type: DemonstrationType = "ph",
    content: Content = "low_dim",
    out: str | Path | None = None,
    revision: str = REVISION,
) -> Download:
    """Fetches one file. Stopped at any moment, the same call goes on from there.

    The file appears under its name only when it is whole, its checksum right, and its bytes on the disk.
    `HF_ENDPOINT` chooses another hub, such as a mirror.

    Args:
        task: "can" or "square".
        type: "ph" or "mh".
        content: "low_dim", or "raw" for states and actions alone.
        out: where to put it; by default runs/demonstrations/TASK_TYPE_NAME.hdf5.
        revision: commit or branch of the repository.

    Raises:
        ConfigError: if there is no such file, or `out` holds something else.
        DatasetError: if the hub cannot be reached, lacks the file, or sends other bytes than it names.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    name = hub_path(task, type, content)
    out = default_path(task, type, content) if out is None else Path(out)
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = hf_hub_url(REPOSITORY, name, repo_type="dataset", revision=revision, endpoint=endpoint)
    with _naming_network_errors(url):
        # The files are public: nothing of the user's, such as a token, is sent along.
        about = get_hf_file_metadata(url, token=False)
    wanted, size = about.etag or "", about.size
    if not _SHA256.fullmatch(wanted) or size is None:
        raise DatasetError(
            f"{url} is answered without size and SHA-256, so that nothing can be checked; let HF_ENDPOINT "
            "name a Hugging Face hub, or unset it"
        )
    if out.exists():
        if out.is_file() and out.stat().st_size == size and sha256(out) == wanted:
            return Download(out, size, wanted, resumed=size)
        raise ConfigError(f"{out} exists and is not the hub's {name}; give another name, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f"{out.name}.{wanted[:16]}.partial")
    with _sole_writer(partial) as file:
        resumed = _fetch(url, file, size, wanted)
        os.fsync(file.fileno())
        partial.replace(out)
    return Download(out, size, wanted, resumed)


def default_path(task: str | Task, type: DemonstrationType = "ph", content: Content = "low_dim") -> Path:
    """Where `download` puts a file by default."""
    stem = Path(hub_path(task, type, content)).name
    return Path("runs") / "demonstrations" / f"{get_task(task).name}_{type}_{stem}"


def _fetch(url: str, file: BinaryIO, size: int, wanted: str) -> int:
    """Completes the file, from its end on; returns how many bytes it had already."""
    from huggingface_hub.file_download import http_get

    while True:
        resumed = file.seek(0, os.SEEK_END)
        if resumed > size:
            resumed = file.seek(0)
            file.truncate()
        with _naming_network_errors(url), _small_chunks():
            # It asks for the rest, draws the progress bar, and asks again where the line breaks.
            http_get(url, file, resume_size=resumed, expected_size=size)
        file.flush()
        found = sha256(Path(file.name))
        if found == wanted:
            return resumed
        file.seek(0)
        file.truncate()
        if resumed == 0:
            raise DatasetError(
                f"{url} sent bytes of SHA-256 {found} instead of {wanted}; they were removed: run the same "
                "command again, or set HF_ENDPOINT to another hub"
            )
        # What an earlier run had left was damaged, as after a power cut: once more, from the start.


@contextlib.contextmanager
def _small_chunks() -> Iterator[None]:
    """Lets the client write what arrives: it holds back 10 MB, which every break in the line loses."""
    from huggingface_hub import constants

    usual = constants.DOWNLOAD_CHUNK_SIZE
    constants.DOWNLOAD_CHUNK_SIZE = 1 << 16
    try:
        yield
    finally:
        constants.DOWNLOAD_CHUNK_SIZE = usual


@contextlib.contextmanager
def _sole_writer(partial: Path) -> Iterator[BinaryIO]:
    """The partial file, open for going on; refused where another process is at it."""
    with partial.open("a+b") as file:
        if not lock_file(file.fileno()):
            raise DatasetError(f"{partial} is being written by another download; wait until it is done")
        yield file


@contextlib.contextmanager
def _naming_network_errors(url: str) -> Iterator[None]:
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except DatasetError:
        raise
    except OfflineModeIsEnabled:
        raise DatasetError(f"{url} was not asked for, because HF_HUB_OFFLINE is set; unset it") from None
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "?")
        missing = isinstance(error, EntryNotFoundError) or status in (401, 404)
        advice = "check HF_ENDPOINT and the revision" if missing else "try again later"
        raise DatasetError(f"{url} is answered with HTTP {status}; {advice}") from None
    except Exception as error:
        if not _from_the_network(error):
            raise
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or error.__class__.__name__
        raise DatasetError(
            f"{url} cannot be fetched ({reason}); what has arrived is kept: check the network, or set "
            "HF_ENDPOINT to a mirror, and run the same command again"
        ) from None


def _from_the_network(error: Exception) -> bool:
    """Whether the hub's client failed at the network: its libraries changed between its versions."""
    libraries = {kind.__module__.split(".")[0] for kind in error.__class__.__mro__}
    if libraries & {"httpx", "httpx2", "httpcore", "requests", "urllib3"}:
        return True
    # The client's own complaint about an answer that ended early, and plain sockets
    return isinstance(error, (ConnectionError, TimeoutError)) or "Consistency check failed" in str(error)
