"""Calling the checks of the exercises, as the cell after a student's solution does."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ddpm_edu.course.diagnosis import CheckFailed


def message_of(check: Callable[..., None], function: Callable[..., Any]) -> str:
    """What the check says of a function that must not pass."""
    with pytest.raises(CheckFailed) as caught:
        check(function)
    return str(caught.value)


def assert_passes(
    check: Callable[..., None], function: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The check says that the function is correct, and leaves the notebook's random numbers as they were."""
    random_state = torch.get_rng_state()
    check(function)
    assert capsys.readouterr().out.startswith(f"{check.__name__}: correct.")
    assert torch.equal(random_state, torch.get_rng_state()), "a check changed the notebook's random numbers"
