"""The three horizons of a policy, and what makes them fit together.

|o|o|                             To = 2 observations, the last one is now
|p|p|p|p|p|p|p|p|p|p|p|p|p|p|p|p| T = 16 predicted
  |a|a|a|a|a|a|a|a|               Ta = 8 executed, from index To - 1 on
"""

from __future__ import annotations

from ddpm_edu.errors import ConfigError
from ddpm_edu.settings import at_least


def check_horizons(horizon: int, n_obs_steps: int, n_action_steps: int) -> None:
    """Refuse horizons that cannot work: silently fewer actions would be executed than were asked for.

    Args:
        horizon: T.
        n_obs_steps: To.
        n_action_steps: Ta.

    Raises:
        ConfigError: if one is below 1, or To - 1 + Ta exceeds T; with the arithmetic.
    """
    for name, value in (
        ("horizon", horizon),
        ("n_obs_steps", n_obs_steps),
        ("n_action_steps", n_action_steps),
    ):
        at_least(name, value)
    last = n_obs_steps - 1 + n_action_steps
    if last > horizon:
        fits = horizon - n_obs_steps + 1
        advice = f", or n_action_steps to at most {fits}" if fits >= 1 else ""
        raise ConfigError(
            f"n_obs_steps - 1 + n_action_steps = {n_obs_steps} - 1 + {n_action_steps} = {last} exceeds "
            f"horizon {horizon}: actions are executed from index n_obs_steps - 1 on; set horizon to at "
            f"least {last}{advice}"
        )
