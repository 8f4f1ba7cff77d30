import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpm_edu.errors import ConfigError
from ddpm_edu.simulation.intervals import wilson_interval


# Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_known_values(successes, trials, expected):
    assert wilson_interval(successes, trials) == pytest.approx(expected, abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_ends_solve_the_score_equation(case):
    """An end is the probability whose expected count lies 1.96 of its own deviations away."""
    successes, trials = case
    for end in wilson_interval(successes, trials):
        assert 0 <= end <= 1
        assert (successes / trials - end) ** 2 == pytest.approx(
            1.959964**2 * end * (1 - end) / trials, rel=1e-6, abs=1e-12
        )


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_refuses_impossible_counts(successes, trials):
    with pytest.raises(ConfigError, match=f"{successes} successes of {trials} episodes"):
        wilson_interval(successes, trials)
