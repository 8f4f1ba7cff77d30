"""`ddpm-edu data …`: fetch published demonstrations, add images to them, and look into a file."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from ddpm_edu.data.download import REVISION, Content, DemonstrationType
from ddpm_edu.errors import DatasetError, UserError

if TYPE_CHECKING:
    from ddpm_edu.data.inspection import DatasetSummary


def inspect(path: tyro.conf.Positional[Path], contact_sheet: Path | None = None) -> None:
    """Say what a robomimic HDF5 file holds, how it differs from the task, and draw a contact sheet.

    Where it has pictures and the simulator's states, three states are rendered and held against them, and
    three of each demonstration against its hand.

    Exits with code 2 where something in the file is broken, and says what. A file of states alone is whole;
    training wants observations (`data render`) and the masks train and valid.

    Args:
        path: the file.
        contact_sheet: a PNG to draw: pictures of some demonstrations, or the hand's paths where the file
            has no images.
    """
    from ddpm_edu.data.comparison import differences
    from ddpm_edu.data.inspection import inspect as inspect_file

    summary = inspect_file(path)
    print(str(summary))
    if not {"train", "valid"} <= summary.masks.keys():
        missing = "no masks" if not summary.masks else "no masks train and valid"
        command = shlex.join(["ddpm-edu", "data", "split", str(path)])
        print(f"\n{missing}: choose what is held out with {command}")
    found = differences(path)
    if found:
        print("\ncompared with the task's own demonstrations")
        print("\n".join(f"  {difference}" for difference in found))
    _say_of_states(path, summary)
    if contact_sheet is not None:
        from ddpm_edu.viz.contact_sheet import contact_sheet as draw

        draw(path, contact_sheet)
        print(f"\ncontact sheet   {contact_sheet}")
    if summary.problem is not None:
        raise DatasetError(summary.problem)


def _say_of_states(path: Path, summary: DatasetSummary) -> None:
    """Holds some pictures and hands against the states, where there are both and nothing else is wrong."""
    from ddpm_edu.tasks import TASKS

    task = next((task for task in TASKS.values() if task.environment_name == summary.env_name), None)
    keys = {key.name for key in summary.keys}
    wanted = {"states", *(f"obs/{key.name}" for key in task.image if key.type == "rgb")} if task else {""}
    if summary.problem is not None or not wanted <= keys or "model_file" not in summary.attributes:
        return
    try:
        from ddpm_edu.simulation.pictures import compare_with_states

        said = list(compare_with_states(path, task))
    except (ImportError, UserError) as error:
        line = " ".join(str(error).split())
        print(f"\nstates          nothing was held against them: {line}")
        return
    lines = [f"states          {line}" for line in said or ["pictures and hand are as they say"]]
    print("\n".join(["", *lines]))


def split(
    path: tyro.conf.Positional[Path],
    valid_fraction: float = 0.1,
    seed: int = 0,
    train_mask: str = "train",
    valid_mask: str = "valid",
    overwrite: bool = False,
) -> None:
    """Choose at random which demonstrations of a file are trained on, and which are held out.

    Writes two masks into the file. A stop at any moment leaves the file as it was, or complete.

    Args:
        path: a robomimic HDF5 file.
        valid_fraction: share that is held out, between 0 and 1; at least one demonstration.
        seed: decides which.
        train_mask: name of the mask that is trained on.
        valid_mask: name of the other.
        overwrite: replace masks of these names.
    """
    from ddpm_edu.data.split import split as split_file

    train, valid = split_file(path, valid_fraction, seed, train_mask, valid_mask, overwrite)
    print(f"{path}: mask/{train_mask} names {train}, mask/{valid_mask} {valid} demonstrations")


def fetch(names: tyro.conf.Positional[tuple[str, ...]] = (), source: str | None = None) -> None:
    """Bring the demonstrations and policies that the repository ships, where a wheel was installed.

    Nothing is asked of the network unless a source is an address. Checksums are this version's.

    Args:
        names: files or folders, such as can_low_dim.hdf5 or policies/can_unet; by default all, 100 MB.
        source: folder or http(s) address of the repository's data/; by default DDPM_EDU_SOURCE.
    """
    from ddpm_edu.data.shipped import fetch as fetch_files
    from ddpm_edu.data.shipped import manifest
    from ddpm_edu.paths import DATA

    for name, how in fetch_files(names, source, DATA, manifest()):
        print(f"{DATA / name}: {how}", flush=True)


def download(
    task: tyro.conf.Positional[str],
    type: DemonstrationType = "ph",
    content: Content = "low_dim",
    out: Path | None = None,
    revision: str = REVISION,
) -> int | None:
    """Fetch robomimic's published demonstrations from the Hugging Face hub.

    Stopped at any moment, the same command goes on from there. The file appears only when it is whole and its
    checksum right. The environment variable HF_ENDPOINT chooses another hub.

    Args:
        task: can or square.
        type: ph, 200 demonstrations of one practised operator; or mh, 300 of six.
        content: low_dim, or raw for states and actions alone.
        out: the file to make; by default in runs/demonstrations/.
        revision: commit or branch of the repository on the hub.
    """
    from ddpm_edu.data.comparison import differences
    from ddpm_edu.data.download import download as fetch

    try:
        done = fetch(task, type, content, out, revision)
    except KeyboardInterrupt:
        print("\ninterrupted; what has arrived is kept, the same command goes on from there", file=sys.stderr)
        return 130
    if done.resumed == done.size:
        how = "was there already"
    else:
        how = f"fetched, {done.resumed / 2**20:.1f} MiB of it earlier" if done.resumed else "fetched"
    print(f"{done.path}: {how}; {done.size / 2**20:.1f} MiB, SHA-256 {done.sha256} as the hub says")
    for difference in differences(done.path):
        print(f"  {difference}")
    return None


def render(
    path: tyro.conf.Positional[Path],
    out: Path,
    n: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> int | None:
    """Replay a file's simulator states into both cameras: makes a file that image policies can train on.

    Stopped at any moment, the same command goes on from there. Also completes files of states alone.

    Args:
        path: a robomimic HDF5 file with simulator states, such as `ddpm-edu data download` fetches.
        out: the file to make.
        n: only the first so many demonstrations.
        workers: processes; by default one for each core.
        overwrite: replace a file that was made otherwise.
    """
    from ddpm_edu.simulation.render_file import render as replay
    from ddpm_edu.simulation.workers import default_workers

    try:
        print(replay(path, out, n, workers or default_workers(n), overwrite))
    except KeyboardInterrupt:
        print("\ninterrupted; what is finished is kept, the same command goes on from there", file=sys.stderr)
        return 130
    return None
