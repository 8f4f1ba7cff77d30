"""What a number of successes says about a policy."""

from __future__ import annotations

import math
from statistics import NormalDist

from ddpm_edu.errors import ConfigError


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of success probabilities that are compatible with what was seen.

    Unlike the textbook interval p ± z·sqrt(p(1-p)/n), it stays inside [0, 1] and keeps its promise for few
    episodes and for rates near 0 or 1: 10 of 10 gives (0.72, 1.00), not (1.00, 1.00).

    Args:
        successes: how many episodes succeeded.
        trials: how many episodes were played.
        confidence: how often such intervals contain the true probability.

    Returns:
        Lower and upper end.

    Raises:
        ConfigError: if there were no trials, or more successes than trials.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ConfigError(f"{successes} successes of {trials} episodes: no interval can be given for that")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    centre = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half_width = z / (1 + z**2 / trials) * math.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    # At 0 and 1 the ends are exact; rounding would leave 1e-17 there.
    lower = 0.0 if successes == 0 else max(0.0, centre - half_width)
    upper = 1.0 if successes == trials else min(1.0, centre + half_width)
    return lower, upper
