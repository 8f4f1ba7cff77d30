"""The image encoder: robomimic's backbone and spatial softmax for each camera, beside proprioception."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ddpm_edu.errors import ConfigError
from ddpm_edu.observation.backbones import BACKBONES
from ddpm_edu.observation.base import ObservationEncoder
from ddpm_edu.observation.crop import RandomCrop
from ddpm_edu.observation.robomimic_build import build_robomimic_encoder, replace_batch_norm
from ddpm_edu.tasks import ObservationKey

# A robomimic VisualCore holds its backbone and its pool twice, by name and in a sequence, so its state
# names each of their tensors twice. Files of safetensors refuse that; the names on the right are kept.
_ALIASES = {"nets.0.": "backbone.", "nets.1.": "pool."}


class CameraAttention(NamedTuple):
    """Where one camera's network looks; h and w count the cells of the last feature map.

    ResNet18 has 3 x 3 of a crop of 76 x 76, and 512 channels.

    Attributes:
        features: the backbone's feature maps (N, channels, h, w).
        attention: one probability map per keypoint (N, keypoints, h, w), each summing to 1.
        keypoints: the mean position under each map (N, keypoints, 2), x to the right and y downwards, from
            -1 (first cell) to 1 (last cell).
    """

    features: Tensor
    attention: Tensor
    keypoints: Tensor


class RobomimicImageEncoder(ObservationEncoder):
    """robomimic's image encoder: features of each camera, then the low-dimensional readings, in key order.

    Each camera has its own network: crop, backbone, spatial softmax (Finn et al. 2016, "Deep spatial
    autoencoders for visuomotor learning"), a linear layer, ReLU. The order is that of the keys, as in
    robomimic and the reference: agentview 64, eye-in-hand 64, position 3, quaternion 4, gripper 2.

    State names are robomimic's (`obs_nets.agentview_image.backbone.nets.0.weight`), each tensor once.
    Weights start random: nothing pretrained is loaded.

    Args:
        keys: what to encode; at least one image.
        backbone: the convolutions, by name; see `ddpm_edu.observation.backbones`.
        group_norm: GroupNorm instead of BatchNorm; see `replace_batch_norm`.
        crop: height and width of the crop (random in training mode, centred in evaluation mode), or None.
        reference_compatible: draw crops as robomimic does; see `RandomCrop`.
        feature_dimension: features per camera.
        num_keypoints: points that the spatial softmax finds in each camera.

    Raises:
        ConfigError: if no key is an image, or the crop is not smaller than every image.
    """

    def __init__(
        self,
        keys: Sequence[ObservationKey],
        *,
        backbone: str = "resnet18",
        group_norm: bool = True,
        crop: tuple[int, int] | None = (76, 76),
        reference_compatible: bool = False,
        feature_dimension: int = 64,
        num_keypoints: int = 32,
    ) -> None:
        super().__init__(keys)
        self.backbone = BACKBONES.get(backbone)
        self.cameras = tuple(key.name for key in keys if key.type == "rgb")
        if not self.cameras:
            raise ConfigError(
                f"RobomimicImageEncoder got keys {self._names()} without an image; use LowDimEncoder"
            )
        _check_sizes(keys, crop, feature_dimension, num_keypoints)
        built = build_robomimic_encoder(keys, self.backbone, crop, feature_dimension, num_keypoints)
        self.obs_nets = built.obs_nets
        self.activation = built.activation
        self.crop = None if crop is None else RandomCrop(*crop, reference_compatible=reference_compatible)
        self._feature_dim = int(built.output_shape()[0])
        if group_norm:
            replace_batch_norm(self.obs_nets)

    @property
    def obs_feature_dim(self) -> int:
        """Do: 64 for each camera and the sizes of the low-dimensional keys."""
        return self._feature_dim

    def forward(self, obs: Mapping[str, Tensor], generator: torch.Generator | None = None) -> Tensor:
        """Readings (N, ...), images in [-1, 1], to features (N, Do); see `ObservationEncoder.forward`."""
        self.check(obs)
        features = []
        for key in self.keys:
            value = obs[key.name]
            if key.type == "rgb":
                if self.crop is not None:
                    value = self.crop(value, generator)  # (N, 3, 76, 76)
                value = self.activation(self.obs_nets[key.name](value))  # (N, 64)
            features.append(value.flatten(start_dim=1))
        return torch.cat(features, dim=-1)  # (N, Do)

    def check(self, obs: Mapping[str, Tensor]) -> None:
        """Refuses observations that do not fit the keys or the weights' dtype; see `forward`."""
        super().check(obs)
        wanted = next(self.parameters()).dtype
        for name in self.cameras:
            image = obs[name]
            if image.dtype != wanted and not torch.is_autocast_enabled(image.device.type):
                raise ConfigError(
                    f"observation {name!r} is {image.dtype}, wanted {wanted} as the encoder's weights"
                )

    # What the cameras look at: for pictures and widgets, never on the way to the features.

    @torch.no_grad()
    def attention(self, obs: Mapping[str, Tensor]) -> dict[str, CameraAttention]:
        """What each camera's network attends to in the centre crop, whatever the mode; see CameraAttention.

        Nothing random is drawn, and the encoder stays as it was.

        Args:
            obs: normalised readings as for `forward`.
        """
        self.check(obs)
        views = {}
        with _evaluating(self):
            for name in self.cameras:
                image = obs[name] if self.crop is None else self.crop(obs[name])  # (N, 3, 76, 76)
                net = self.obs_nets[name]
                features = net.backbone(image)  # (N, channels, h, w)
                logits = net.pool.nets(features) / net.pool.temperature  # (N, keypoints, h, w)
                attention = logits.flatten(2).softmax(dim=-1)  # (N, keypoints, h w)
                position = torch.cat([net.pool.pos_x, net.pool.pos_y]).to(attention.dtype)  # (2, h w)
                keypoints = attention @ position.T  # (N, keypoints, 2)
                views[name] = CameraAttention(features, attention.view_as(logits), keypoints)
        return views

    def keypoints(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Keypoints (N, keypoints, 2) of each camera, (x, y) from -1 to 1; see `attention`."""
        return {name: view.keypoints for name, view in self.attention(obs).items()}

    def keypoint_pixels(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Keypoints (N, keypoints, 2) of each camera as (x, y) in pixels of the whole image.

        The cells' centres lie `backbone.stride` pixels apart, the first on the crop's first pixel, so
        keypoints never reach the crop's right and lower edge.
        """
        pixels = {}
        for name, view in self.attention(obs).items():
            height, width = view.features.shape[-2:]
            top, left = (0, 0) if self.crop is None else self.crop.centre_offsets(obs[name])
            span = view.keypoints.new_tensor([width - 1, height - 1]) * self.backbone.stride
            pixels[name] = view.keypoints.new_tensor([left, top]) + (view.keypoints + 1) / 2 * span
        return pixels

    # The state, with each tensor once.

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """The state, each tensor under one name; see torch.nn.Module.state_dict."""
        state = super().state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)
        for alias in [name for name in state if name.startswith(prefix) and canonical_name(name) != name]:
            del state[alias]
        return state

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Runs before the sub-modules load, on their dictionary: they want each tensor under both names.
        for camera in self.cameras:
            net = f"{prefix}obs_nets.{camera}."
            for alias, name in _ALIASES.items():
                for found in [key for key in state_dict if key.startswith(net + name)]:
                    state_dict.setdefault(net + alias + found[len(net + name) :], state_dict[found])
        super()._load_from_state_dict(state_dict, prefix, *args)


def canonical_name(name: str) -> str:
    """The one name that a tensor of a VisualCore is kept under."""
    head, found, tail = name.partition("obs_nets.")
    camera, dot, rest = tail.partition(".")
    for alias, kept in _ALIASES.items():
        if found and rest.startswith(alias):
            return head + found + camera + dot + kept + rest[len(alias) :]
    return name


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, every sub-module's own mode again afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _check_sizes(
    keys: Sequence[ObservationKey], crop: tuple[int, int] | None, feature_dimension: int, num_keypoints: int
) -> None:
    if feature_dimension < 1 or num_keypoints < 1:
        raise ConfigError(
            f"feature_dimension is {feature_dimension} and num_keypoints is {num_keypoints};"
            " both must be at least 1"
        )
    if crop is None:
        return
    for key in keys:
        if key.type != "rgb":
            continue
        height, width = key.shape[-2:]
        if len(crop) != 2 or not (0 < crop[0] < height and 0 < crop[1] < width):
            raise ConfigError(
                f"crop is {tuple(crop)}; for {key.name!r} it must be (height, width) smaller than"
                f" {(height, width)}, or None for whole images"
            )
