"""The course's pages, made once for all tests that look at them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ddpm_edu.errors import NotebookError
from ddpm_edu.paths import REPOSITORY

PAGE = REPOSITORY / "notebooks" / "04_forward_process.ipynb"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("myst_nb", reason="myst-nb is missing; install it with: pip install -e '.[site]'")
    from ddpm_edu.course.site import build_site, fetch_files

    try:
        fetch_files()
    except NotebookError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))  # someone who has no network, or no npm
    return build_site([PAGE], tmp_path_factory.mktemp("course") / "site")
