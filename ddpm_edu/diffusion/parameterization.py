"""What a denoiser may predict, and how to turn one prediction into another.

With a = sqrt(alpha_bar_k) and s = sqrt(1 - alpha_bar_k), so that a² + s² = 1:

    x_k = a x_0 + s epsilon            the noisy trajectory
    v   = a epsilon - s x_0            the velocity (Salimans & Ho 2022, section 4 and appendix D)

Two of {x_0, epsilon, v, x_k} fix the others, so the three predictions carry the same information; they differ
in which noise levels the loss weights, and in where a small error is blown up (division by a or by s).
Each function takes the schedule, the prediction (B, ...), the noisy trajectory x_k (B, ...) and the step k
(int, () or (B,)), and returns (B, ...). Each raises ConfigError for a step outside [0, K).
"""

from __future__ import annotations

from torch import Tensor

from ddpm_edu.diffusion.schedule import PREDICTION_TYPES, NoiseSchedule
from ddpm_edu.errors import ConfigError


def _scales(schedule: NoiseSchedule, noisy: Tensor, timestep: int | Tensor) -> tuple[Tensor, Tensor]:
    """a and s, each (B, 1, ...)."""
    return (
        schedule.at(schedule.signal_scale, timestep, like=noisy),
        schedule.at(schedule.noise_scale, timestep, like=noisy),
    )


def sample_from_epsilon(
    schedule: NoiseSchedule, epsilon: Tensor, noisy: Tensor, timestep: int | Tensor
) -> Tensor:
    """x_0 = (x_k - s epsilon) / a. Late in the forward process a is tiny: errors grow by 1/a, up to 2000."""
    a, s = _scales(schedule, noisy, timestep)
    return (noisy - s * epsilon) / a


def sample_from_v(schedule: NoiseSchedule, v: Tensor, noisy: Tensor, timestep: int | Tensor) -> Tensor:
    """x_0 = a x_k - s v. No division: safe at every step."""
    a, s = _scales(schedule, noisy, timestep)
    return a * noisy - s * v


def epsilon_from_sample(
    schedule: NoiseSchedule, sample: Tensor, noisy: Tensor, timestep: int | Tensor
) -> Tensor:
    """epsilon = (x_k - a x_0) / s. Early in the forward process s is small."""
    a, s = _scales(schedule, noisy, timestep)
    return (noisy - a * sample) / s


def epsilon_from_v(schedule: NoiseSchedule, v: Tensor, noisy: Tensor, timestep: int | Tensor) -> Tensor:
    """epsilon = s x_k + a v. No division: safe at every step."""
    a, s = _scales(schedule, noisy, timestep)
    return s * noisy + a * v


def v_from_epsilon(schedule: NoiseSchedule, epsilon: Tensor, noisy: Tensor, timestep: int | Tensor) -> Tensor:
    """v = (epsilon - s x_k) / a."""
    a, s = _scales(schedule, noisy, timestep)
    return (epsilon - s * noisy) / a


def v_from_sample(schedule: NoiseSchedule, sample: Tensor, noisy: Tensor, timestep: int | Tensor) -> Tensor:
    """v = (a x_k - x_0) / s."""
    a, s = _scales(schedule, noisy, timestep)
    return (a * noisy - sample) / s


_CONVERSIONS = {
    ("epsilon", "sample"): sample_from_epsilon,
    ("v_prediction", "sample"): sample_from_v,
    ("sample", "epsilon"): epsilon_from_sample,
    ("v_prediction", "epsilon"): epsilon_from_v,
    ("epsilon", "v_prediction"): v_from_epsilon,
    ("sample", "v_prediction"): v_from_sample,
}


def convert_prediction(
    schedule: NoiseSchedule,
    prediction: Tensor,
    noisy: Tensor,
    timestep: int | Tensor,
    source: str,
    target: str,
) -> Tensor:
    """Turns a prediction of one type into another; see the module's equations.

    Args:
        schedule: the betas.
        prediction: (B, ...) of type `source`.
        noisy: (B, ...) x_k.
        timestep: int, () or (B,): k in [0, K).
        source: "epsilon", "sample" or "v_prediction".
        target: one of the same.

    Returns:
        (B, ...) of type `target`.

    Raises:
        ConfigError: for an unknown type or a step outside [0, K).
    """
    check_prediction_type(source)
    check_prediction_type(target)
    if source == target:
        return prediction
    return _CONVERSIONS[source, target](schedule, prediction, noisy, timestep)


def training_target(
    schedule: NoiseSchedule, clean: Tensor, noise: Tensor, timestep: int | Tensor, prediction_type: str
) -> Tensor:
    """What the denoiser should have predicted for x_k made of `clean` and `noise`.

    Args:
        schedule: the betas.
        clean: (B, ...) x_0.
        noise: (B, ...) epsilon.
        timestep: int, () or (B,): k in [0, K).
        prediction_type: "epsilon", "sample" or "v_prediction".

    Returns:
        (B, ...).

    Raises:
        ConfigError: for an unknown type or a step outside [0, K).
    """
    check_prediction_type(prediction_type)
    if prediction_type == "epsilon":
        return noise
    if prediction_type == "sample":
        return clean
    a, s = _scales(schedule, clean, timestep)
    return a * noise - s * clean


def check_prediction_type(prediction_type: str) -> None:
    """Raises ConfigError unless the type is "epsilon", "sample" or "v_prediction"."""
    if prediction_type not in PREDICTION_TYPES:
        raise ConfigError(
            f"prediction_type is {prediction_type!r}; it must be one of "
            f"{', '.join(map(repr, PREDICTION_TYPES))}"
        )
