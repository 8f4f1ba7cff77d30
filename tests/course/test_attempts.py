"""Right answers in unlike styles, and wrong ones that stand on no list.

`python tests/exercise_attempts.py` is the long form.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from exercise_attempts import Attempt, attempts, is_named

from ddpm_edu.course import checks, diagnosis
from ddpm_edu.course.explanations import partly

ALL = list(attempts())
RIGHT = [attempt for attempt in ALL if attempt.is_right]
WRONG = [attempt for attempt in ALL if not attempt.is_right]


def test_attempts_are_of_both_kinds() -> None:
    for name in checks.names():
        of_this = [attempt.is_right for attempt in ALL if attempt.check == name]
        assert sum(of_this) >= 3, name
        assert len(of_this) - sum(of_this) >= 6, name


def test_no_right_answer_is_refused() -> None:
    refused = {attempt.source: attempt.verdict() for attempt in RIGHT}
    assert not {source: verdict for source, verdict in refused.items() if verdict}


def test_no_wrong_answer_passes_and_most_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "SEARCH_SECONDS", 0.1)
    some = WRONG[::23]
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


def test_a_decorated_function_hands_its_answers_on_and_keeps_its_decorator(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cell = "@torch.no_grad()\ndef attempt(betas):\n    return np.cumprod((1 - betas).numpy())\n"
    names = Attempt("alpha_bar", cell, True).cell()
    checks.alpha_bar(names["attempt"])
    assert "in this notebook it is converted for them from now on" in capsys.readouterr().out
    answer = names["attempt"](torch.rand(5).requires_grad_())  # numpy takes it without gradients only
    assert isinstance(answer, torch.Tensor)


def test_of_several_answers_the_one_in_another_form_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    right = next(one for one in attempts("closed_loop") if one.is_right).source
    names = Attempt(
        "closed_loop", right.replace("torch.tensor(closed[:n_steps])", "closed[:n_steps]"), True
    ).cell()
    checks.closed_loop(names["attempt"])
    said = "Of its answers the second is a plain list, and later cells compute with a tensor of bool: in this"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("check", "source", "said"),
    [
        ("alpha_bar", "while True: betas = betas", "It does not come to an end"),
        (
            "alpha_bar",
            "while True:\n        try:\n            for i in range(1000): betas = betas + i\n"
            "        except Exception: pass",
            "It does not come to an end",
        ),
        ("alpha_bar", "return torch.ones(3).long().softmax(0)", "in line 2"),  # torch's NotImplementedError
        ("forward_process", "return clean + betas[timestep + 1]", "It raises IndexError"),
        ("masked_loss", "return OTHER.square().mean() * target.square().mean()", "It reads `OTHER` from the"),
        ("causal_mask", "return (torch.rand(n_tokens, n_tokens) < 0.5)", "random numbers of its own"),
        (
            "forward_process",
            "return clean * betas[timestep]",
            "along axis 2 one has 3 (Da) entries, the other",
        ),
        ("sampling_loop", "return start[len(noise)]", "It picks entry"),
        ("masked_loss", "return prediction - targets", "It reads `targets`, which is neither an argument"),
        (
            "trailing_timesteps",
            "return torch.arange(K, 0, -(K // n)) - 1",
            "It is right where `n` divides `K`",
        ),
        (
            "actions_from_positions",
            "return ((positions - positions[0]) / largest_step).clamp(-1, 1)",
            "`positions` at index 3 of N changes your answer at index 3 of N; it should at indices 2 and 3.",
        ),
        (
            "ddim_with_eta",
            "x0 = (x - (1 - here) ** 0.5 * epsilon) / here**0.5; "
            "s = eta * ((1 - there) / (1 - here) * (1 - here / there)) ** 0.5; "
            "return there**0.5 * x0 + ((1 - there) ** 0.5 - s) * epsilon + s * noise",
            "What `epsilon` adds to your answer is wrong: it is the right part times a factor, another",
        ),
        (
            "resample",
            "w = 1 / ((wanted[:, None] - times).abs() + 1e-6); return w @ values / w.sum(1, keepdim=True)",
            "It is right where `values` is the same all along M.\n  `attempt(torch.tensor([",
        ),
        (
            "wilson",
            "n = episodes + z**2; p = (successes + z**2 / 2) / n; h = z * (p * (1 - p) / n).sqrt(); "
            "return torch.stack([p - h, p + h], -1)",
            "The middle between your two numbers is right",
        ),
        (
            "unet_forward",
            "cond = torch.cat([unet.step_encoder(k), seen], 1); x, skips = noisy.mT, []\n"
            "    for down in unet.down_levels:\n"
            "        x = down.second(down.first(x, cond), cond); skips.append(x); x = down.resample(x)\n"
            "    for block in unet.middle: x = block(x, cond)\n"
            "    for up in reversed(unet.up_levels):\n"
            "        x = up.resample(up.second(up.first(torch.cat([x, skips.pop()], 1), cond), cond))\n"
            "    return unet.final_projection(unet.final_block(x)).mT",
            "`reversed( … )` is too much",
        ),
        (
            "memory_mask",
            "return torch.ones(1 + n_obs_tokens, n_action_tokens) > 0",
            "The two axes are exchanged",
        ),
    ],
)
def test_what_else_is_said(check: str, source: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm_edu.course.explanations.calls.SECONDS", 0.5)
    monkeypatch.setattr(diagnosis, "SEARCH_SECONDS", 0.6)  # a busy machine's seconds hold less
    arguments = next(iter(attempts(check))).source.split("(")[1].split(")")[0]
    cell = f"OTHER = torch.ones(2)\n\ndef attempt({arguments}):\n    {source}\n"
    verdict = Attempt(check, cell, False).verdict()
    assert said in verdict, verdict


def test_a_slip_is_found_in_a_helper_of_the_right_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "SEARCH_SECONDS", 5.0)
    body = "n = lambda h: F.layer_norm(h, h.shape[-1:])\n    x = x + attend @ n(x)\n    "
    cell = (
        f"def attempt(x, attend, expand, contract):\n    {body}return x + F.relu(n(x) @ expand) @ contract\n"
    )
    names = {"F": torch.nn.functional}
    exec(cell, names)  # without its source, in which the slip would be found at once
    with pytest.raises(diagnosis.CheckFailed, match="`relu` stands where `gelu` belongs"):
        checks.pre_norm(names["attempt"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda r: r * torch.tensor([2.0, 3.0]) + 1,
            "Each column of your answers is the right one, stretched",
        ),
        (lambda r: r + r.sum(), "In each call your entries are all off by the same number"),
        (lambda r: torch.where(torch.arange(6)[:, None] == 0, 7 * r, -r), "20 of your 24 wrong entries are"),
    ],
)
def test_what_is_said_of_answers_that_are_wrong_in_parts(
    change: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    rights = [torch.randn(6, 2, generator=torch.Generator().manual_seed(seed)) + 3 for seed in range(2)]
    found = [one.what for one in partly.partly([change(right) for right in rights], rights, 1e-4)]
    assert found[0].startswith(said)


def test_one_slip_in_all_places_of_a_line_is_one_slip() -> None:
    from ddpm_edu.course.explanations.slips import slips_everywhere

    a, b = torch.tensor(4.0), torch.tensor(9.0)
    said = [slip.what() for slip in slips_everywhere(_two_roots) if slip.function(a, b) == a - b]
    assert said[0].startswith("a square root is left out, in all 2 places"), said


def _two_roots(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a.sqrt() - b.sqrt()


def test_options_of_a_right_solution_are_not_shown_to_students() -> None:
    import ast

    from ddpm_edu.course.explanations.options import without_options

    tree = ast.parse("def f(x, power=1.0, room=True):\n    return (x if room else -x) ** power").body[0]
    assert isinstance(tree, ast.FunctionDef)
    assert ast.unparse(without_options(tree)) == "def f(x):\n    return x"


def test_an_argument_that_is_a_list_of_tensors_may_not_matter() -> None:
    cases = [{"parts": [torch.rand(2, 3), torch.rand(4, 3)], "factor": factor} for factor in (2.0, 3.0)]
    with pytest.raises(diagnosis.CheckFailed, match="does not use `parts`"):
        diagnosis.check_function(
            "joined",
            lambda parts, factor: factor * torch.arange(18.0).reshape(6, 3).sin(),
            lambda parts, factor: factor * torch.cat(parts),
            [],
            cases,
            "Joined.",
        )
