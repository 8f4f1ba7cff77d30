"""Checks that look for an unlisted mistake look for a short time here: CI runs thousands of them."""

import pytest

from ddpm_edu.course import diagnosis


@pytest.fixture(autouse=True)
def short_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "SEARCH_SECONDS", 0.2)
