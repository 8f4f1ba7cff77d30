"""Observation encoders: one dictionary of readings in, one feature vector out.

Both kinds share one interface: `.keys` (what they read, in order), `.obs_feature_dim` (Do), and
`encoder(obs)`, which takes normalised readings (N, ...) and returns features (N, Do). N counts frames, not
episodes: a policy folds batch and time into it, because a frame is encoded on its own.
"""

from __future__ import annotations

from typing import Literal

from ddpm_edu.observation.base import LowDimEncoder, ObservationEncoder
from ddpm_edu.observation.image import CameraAttention, RobomimicImageEncoder
from ddpm_edu.observation.object_pose import ObjectPoseEncoder
from ddpm_edu.observation.robomimic_build import robomimic_observation_keys
from ddpm_edu.tasks import ObservationMode, Task, get_task

__all__ = [
    "CameraAttention",
    "LowDimEncoder",
    "ObjectPoseEncoder",
    "ObservationEncoder",
    "RobomimicImageEncoder",
    "make_obs_encoder",
    "robomimic_observation_keys",
]


def make_obs_encoder(
    task: str | Task,
    observation: ObservationMode = "low_dim",
    *,
    backbone: str = "resnet18",
    tells: Literal["features", "object"] = "features",
    group_norm: bool = True,
    crop: tuple[int, int] | None = (76, 76),
    reference_compatible: bool = False,
    feature_dimension: int | None = None,
    num_keypoints: int | None = None,
) -> ObservationEncoder:
    """The encoder of a task's observation; all settings but the first two concern images only.

    Args:
        task: a task or its name.
        observation: "low_dim" (state, no parameters) or "image" (two cameras and proprioception).
        backbone: the convolutions, by name; see `ddpm_edu.observation.backbones`.
        tells: free "features", or the "object"'s pose as a state policy reads it; see `ObjectPoseEncoder`.
        group_norm: GroupNorm instead of BatchNorm.
        crop: height and width of the crop, or None for whole images.
        reference_compatible: draw crops as robomimic does; see `ddpm_edu.observation.crop.RandomCrop`.
        feature_dimension: features per camera; None for the encoder's own default.
        num_keypoints: points that the spatial softmax finds in each camera; None likewise.

    Raises:
        ConfigError: for an unknown task or observation, or a crop that does not fit the cameras.
    """
    keys = get_task(task).observation(observation)
    if observation == "low_dim":
        return LowDimEncoder(keys)
    sizes = {"feature_dimension": feature_dimension, "num_keypoints": num_keypoints}
    settings = {
        "backbone": backbone,
        "group_norm": group_norm,
        "crop": crop,
        "reference_compatible": reference_compatible,
        **{name: size for name, size in sizes.items() if size is not None},
    }
    if tells == "object":
        return ObjectPoseEncoder(get_task(task), **settings)
    return RobomimicImageEncoder(keys, **settings)
