"""How pytest runs here: notebooks strictly, fast tests first, the same way on every run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# torch reads it when it loads. One thread per process is the steady measure on a machine that others share.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# tqdm reads it when it loads. A bar that appears only on slow machines is an output too many in a notebook.
os.environ.setdefault("TQDM_DISABLE", "1")

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent

settings.register_profile("ddpm_edu", deadline=None, derandomize=True)
settings.load_profile("ddpm_edu")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Gives nbval the committed list of what may differ between runs, from whatever folder pytest starts."""
    # Started in a script's background, pytest would ignore Ctrl-C, and with it all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("nbval_sanitize_with", None) is None:
        config.option.nbval_sanitize_with = str(ROOT / "notebooks" / "sanitize.cfg")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: a mistake shows in seconds. The order within a file stays, notebooks need theirs."""

    def cost(item: pytest.Item) -> int:
        if item.path.suffix == ".ipynb":
            return 3
        if item.get_closest_marker("slow"):
            return 2
        return 1 if "simulation" in item.path.parts else 0

    items.sort(key=cost)
