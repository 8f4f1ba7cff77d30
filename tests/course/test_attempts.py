"""Right answers in unlike styles, and wrong ones that stand on no list.

`python tests/exercise_attempts.py` is the long form.
"""

from __future__ import annotations

import pytest
import torch
from exercise_attempts import Attempt, attempts, is_named

from ddpm_edu.course import checks, diagnosis

RIGHT = [attempt for attempt in attempts() if attempt.is_right]
WRONG = [attempt for attempt in attempts() if not attempt.is_right]


def test_attempts_are_of_both_kinds() -> None:
    for name in {attempt.check for attempt in attempts()}:
        of_this = [attempt.is_right for attempt in attempts(name)]
        assert sum(of_this) >= 1, name
        assert len(of_this) - sum(of_this) >= 6, name


def test_no_right_answer_is_refused() -> None:
    refused = {attempt.source: attempt.verdict() for attempt in RIGHT}
    assert not {source: verdict for source, verdict in refused.items() if verdict}


def test_no_wrong_answer_passes_and_most_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "SEARCH_SECONDS", 0.1)
    some = WRONG[::9]
    verdicts = [attempt.verdict() for attempt in some]
    assert all(verdicts), [a.source for a, verdict in zip(some, verdicts, strict=True) if not verdict]
    assert sum(map(is_named, verdicts)) >= 0.65 * len(some)


@pytest.mark.parametrize(
    ("check", "source", "kind"),
    [
        ("alpha_bar", "np.cumprod(1 - betas.numpy())", torch.float32),
        ("alpha_bar", "torch.cumprod(1 - betas.double(), 0)", torch.float32),
        ("window_rows", "[min(max(start + i, 0), length - 1) for i in range(horizon)]", torch.int64),
        ("causal_mask", "[[s <= t for s in range(n_tokens)] for t in range(n_tokens)]", torch.bool),
        ("masked_loss", "float(((prediction - target) ** 2 * ~condition_mask).mean())", torch.float32),
    ],
)
def test_later_cells_get_what_they_compute_with(
    check: str, source: str, kind: torch.dtype, capsys: pytest.CaptureFixture[str]
) -> None:
    """A right answer of another type passes; from then on the name gives the type that is needed."""
    arguments = next(iter(attempts(check))).source.split("(")[1].split(")")[0]
    names = Attempt(check, f"def attempt({arguments}):\n    return {source}\n", True).cell()
    getattr(checks, check)(names["attempt"])
    assert "in this notebook it is converted for them from now on" in capsys.readouterr().out
    inputs = {
        "betas": torch.rand(5), "start": -1, "horizon": 4, "length": 9, "n_tokens": 3,
        "prediction": torch.rand(2, 3, 4), "target": torch.rand(2, 3, 4),
        "condition_mask": torch.rand(2, 3, 4) < 0.5,
    }  # fmt: skip
    answer = names["attempt"](*(inputs[name.strip()] for name in arguments.split(",")))
    assert isinstance(answer, torch.Tensor)
    assert answer.dtype == kind
    getattr(checks, check)(names["attempt"])  # and it passes again
    assert "converted" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("check", "source", "said"),
    [
        ("alpha_bar", "while True: betas = betas", "It does not come to an end"),
        ("alpha_bar", "return torch.ones(3).long().softmax(0)", "in line 2"),  # torch's NotImplementedError
        ("forward_process", "return clean + betas[timestep + 1]", "It raises IndexError"),
        ("masked_loss", "return OTHER.square().mean() * target.square().mean()", "It reads `OTHER` from the"),
        ("causal_mask", "return (torch.rand(n_tokens, n_tokens) < 0.5)", "random numbers of its own"),
    ],
)
def test_what_else_is_said(check: str, source: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm_edu.course.calls.SECONDS", 0.5)
    arguments = next(iter(attempts(check))).source.split("(")[1].split(")")[0]
    cell = f"OTHER = torch.ones(2)\n\ndef attempt({arguments}):\n    {source}\n"
    verdict = Attempt(check, cell, False).verdict()
    assert said in verdict, verdict
