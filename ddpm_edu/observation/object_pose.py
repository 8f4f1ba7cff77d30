"""An encoder that tells from pictures what a state policy is told: the object's pose."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ddpm_edu.data.actions import matrix_to_quaternion, quaternion_to_matrix, rotation_6d_to_matrix
from ddpm_edu.data.normalizer import Normalizer
from ddpm_edu.errors import ConfigError
from ddpm_edu.observation.base import ObservationEncoder
from ddpm_edu.observation.image import RobomimicImageEncoder
from ddpm_edu.tasks import Task

LENGTH = 0.05
"""Metres that count as 1 in the network's own estimate: the size of a hand."""
_HIDDEN = 256
_SEAM = math.radians(45)
"""Turn about the vertical at which a quaternion in the world changes its sign. Somewhere it must;
the simulator's objects change it at 0, which is one of the turns in which Square's nut is put down."""


class ObjectPoseEncoder(ObservationEncoder):
    """Two cameras and proprioception to the features of a state policy: 23 numbers of its low-dim keys.

    robomimic's image encoder and a perceptron estimate the object's pose *as seen from the hand*: position
    and six numbers of rotation. Everything else is geometry: the hand's own pose is known, and carries the
    estimate into the world. So the features are normalised exactly as a state policy's, whose denoiser can be
    taken over as it is; and unlike free features, they can be checked: in millimetres and degrees.

    The camera on the hand moves with it and sees the object best when it matters most, near the grasp; that
    is why the hand's view of the pose is estimated, and not the world's.

    Args:
        task: whose image observation is read, and whose low-dim observation is told.
        backbone: see `RobomimicImageEncoder`.
        crop: as there; None where an encoder is trained on scenes enough not to need shifts.
        feature_dimension: features per camera.
        num_keypoints: points that the spatial softmax finds in each camera.
    """

    units: Tensor

    def __init__(
        self,
        task: Task,
        *,
        backbone: str = "small",
        group_norm: bool = True,
        crop: tuple[int, int] | None = None,
        reference_compatible: bool = False,
        feature_dimension: int = 128,
        num_keypoints: int = 64,
    ) -> None:
        super().__init__(task.image)
        self.images = RobomimicImageEncoder(
            task.image,
            backbone=backbone,
            group_norm=group_norm,
            crop=crop,
            reference_compatible=reference_compatible,
            feature_dimension=feature_dimension,
            num_keypoints=num_keypoints,
        )
        self.head = nn.Sequential(
            nn.Linear(self.images.obs_feature_dim, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, 9),
        )
        # Centre and scale of object (14) and hand position (3); see `set_units`. NaN until they are known.
        self.register_buffer("units", torch.full((2, 17), torch.nan))

    @property
    def obs_feature_dim(self) -> int:
        """Do = 23: object 14, hand position 3, hand quaternion 4, gripper 2."""
        return 23

    @property
    def cameras(self) -> tuple[str, ...]:
        """The images' keys."""
        return self.images.cameras

    def set_units(self, normalizer: Normalizer) -> None:
        """Take over the units in which a state policy reads object and hand."""
        keys = normalizer["object"], normalizer["robot0_eef_pos"]
        centre = torch.cat([key.center for key in keys])
        self.units.copy_(torch.stack([centre, torch.cat([key.scale for key in keys])]))

    @torch.no_grad()
    def change_readings(self, before: Normalizer, after: Normalizer) -> None:
        """Read proprioception in other units than it was taught in, and tell the same.

        The head's first layer takes the change up, exactly. Without it a hand some centimetres off is read,
        and the object is told as far off: nothing else would show that a policy has other units. The units in
        which the object is told stay: a denoiser has learned in them.

        Args:
            before: in whose units the readings came.
            after: in whose units they will come.
        """
        layer, begin = self.head[0], 0
        proprioception = sum(math.prod(key.shape) for key in self.keys if key.type == "low_dim")
        of_a_camera = (self.images.obs_feature_dim - proprioception) // len(self.cameras)
        for key in self.keys:
            width = math.prod(key.shape) if key.type == "low_dim" else of_a_camera
            if key.type == "low_dim":
                old, new = before[key.name], after[key.name]
                columns = layer.weight[:, begin : begin + width]  # (hidden, width)
                layer.bias += columns @ ((new.center - old.center) / old.scale)
                columns *= new.scale / old.scale
            begin += width
        hand = after["robot0_eef_pos"]
        self.units[:, 14:] = torch.stack([hand.center, hand.scale])

    def estimate(self, obs: Mapping[str, Tensor], generator: torch.Generator | None = None) -> Tensor:
        """The object as seen from the hand (N, 9): position in units of `LENGTH`, two rows of rotation."""
        return self.head(self.images(obs, generator))

    def object(self, estimate: Tensor, obs: Mapping[str, Tensor]) -> Tensor:
        """The task's `object` entry (N, 14), in metres, of an estimate (N, 9) and the readings it came from.

        A quaternion and its negative are the same rotation, and a picture does not tell them apart: the sign
        is that of turns from 45° to 405° about the vertical in the world, and of w >= 0 for the hand's view,
        as robosuite computes it.
        """
        centre, scale = self.units[:, 14:]
        hand = obs["robot0_eef_pos"] * scale + centre  # (N, 3)
        turn = quaternion_to_matrix(obs["robot0_eef_quat"])  # (N, 3, 3)
        position, rotation = estimate[:, :3] * LENGTH, rotation_6d_to_matrix(estimate[:, 3:])
        in_world = hand + (turn @ position[..., None]).squeeze(-1)  # (N, 3)
        quaternion = matrix_to_quaternion(turn @ rotation)  # (N, 4)
        side = quaternion[:, 2:3] * math.cos(_SEAM / 2) - quaternion[:, 3:] * math.sin(_SEAM / 2)
        quaternion = torch.where(side < 0, -quaternion, quaternion)
        return torch.cat([in_world, quaternion, position, matrix_to_quaternion(rotation)], dim=-1)

    def forward(self, obs: Mapping[str, Tensor], generator: torch.Generator | None = None) -> Tensor:
        """Readings (N, ...) to features (N, 23); see `ObservationEncoder.forward`.

        Raises:
            ConfigError: if the encoder has not been taught: it does not know the units yet.
        """
        if bool(self.units.isnan().any()):
            raise ConfigError(
                "this encoder has not been taught to tell the object's pose; teach one with: ddpm-edu see, "
                "or set vision.tells to 'features'"
            )
        centre, scale = self.units[:, :14]
        told = (self.object(self.estimate(obs, generator), obs) - centre) / scale  # (N, 14)
        proprioception = [obs[key.name] for key in self.keys if key.type == "low_dim"]
        return torch.cat([told, *proprioception], dim=-1)  # (N, 23)


def pose_in_hand(objects: Tensor) -> Tensor:
    """What `ObjectPoseEncoder.estimate` should give (N, 9) for the task's `object` entries (N, 14)."""
    rotation = quaternion_to_matrix(objects[:, 10:])  # (N, 3, 3)
    return torch.cat([objects[:, 7:10] / LENGTH, rotation[:, :2].flatten(1)], dim=-1)
