"""Runs notebooks from top to bottom and saves them with their outputs and their widgets' state.

JupyterLab does not save widgets by default, and pages made from such a notebook show nothing in their place.
Run it after every change of a notebook:

    .venv/bin/python scripts/execute_notebooks.py notebooks/04_forward_process.ipynb

Without arguments it runs all of them. A notebook whose cell fails is left as it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Before the kernels start. One thread is faster than several where other work shares the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm.auto import tqdm

from ddpm_edu.course.pictures import shrink_pictures
from ddpm_edu.files import write_atomically

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def execute(path: Path, timeout: int) -> None:
    """Runs one notebook in its own folder and replaces it when all cells have run."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        store_widget_state=True,
        record_timing=False,  # times would change the file at every run
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    # The version of Python says nothing that a reader needs, and differs between contributors.
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    shrink_pictures(notebook)
    nbformat.validate(notebook)

    with write_atomically(path) as file:
        file.write((nbformat.writes(notebook) + "\n").encode())


def main() -> int:
    """Runs the notebooks of the command line; 1 if a cell failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="*", type=Path, help="by default all in notebooks/")
    parser.add_argument("--timeout", type=int, default=300, help="seconds that a cell may take")
    arguments = parser.parse_args()
    paths = arguments.notebooks or sorted(NOTEBOOKS.glob("*.ipynb"))
    failed = False
    os.environ.setdefault("TQDM_DISABLE", "1")  # for the kernels: bars come and go with the machine's speed
    for path in tqdm(paths, unit="notebook"):
        try:
            execute(path.resolve(), arguments.timeout)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed = True
            print(f"{path} is left as it was: {error}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
