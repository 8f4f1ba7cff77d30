"""Takes the image encoder out of a robomimic policy without leaving a trace in robomimic's globals.

robomimic offers no public way to its encoder alone: the project's outline builds a whole recurrent
behaviour-cloning policy and keeps only `policy.nets['policy'].nets['encoder'].nets['obs']`. What surrounds
the encoder is made as small as its settings allow and is dropped at once.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import nn

from ddpm_edu.observation.backbones import Backbone
from ddpm_edu.tasks import ObservationKey
from ddpm_edu.third_party import import_robomimic

if TYPE_CHECKING:
    from robomimic.config import BCConfig
    from robomimic.models.obs_nets import ObservationEncoder as RobomimicEncoder

_GLOBALS = ("OBS_KEYS_TO_MODALITIES", "OBS_MODALITIES_TO_KEYS", "DEFAULT_ENCODER_KWARGS")


@contextlib.contextmanager
def robomimic_observation_keys(modalities: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Tells robomimic which key is of which modality, and takes it back afterwards.

    robomimic keeps this in module globals, so a second policy with other keys would overwrite the first
    one's. It is only read while networks are built (and printed), so it need not outlive that.

    Args:
        modalities: keys by robomimic's modality, such as {"rgb": [...], "low_dim": [...]}.
    """
    obs_utils = import_robomimic("robomimic.utils.obs_utils")
    before = {name: getattr(obs_utils, name) for name in _GLOBALS}
    try:
        # Rebinds the globals to new dictionaries, so the saved ones stay as they are.
        obs_utils.initialize_obs_modality_mapping_from_dict(
            {name: list(keys) for name, keys in modalities.items()}
        )
        yield
    finally:
        for name, value in before.items():
            setattr(obs_utils, name, value)


@contextlib.contextmanager
def _known_to_robomimic(network: type) -> Iterator[None]:
    """Lets robomimic find a backbone: it looks its class up by name in one of its own modules."""
    namespace = vars(import_robomimic("robomimic.models.obs_core"))
    before = namespace.get(network.__name__)
    namespace[network.__name__] = network
    try:
        yield
    finally:
        if before is None:
            del namespace[network.__name__]
        else:
            namespace[network.__name__] = before


def build_robomimic_encoder(
    keys: Sequence[ObservationKey],
    backbone: Backbone,
    crop: tuple[int, int] | None,
    feature_dimension: int,
    num_keypoints: int,
) -> RobomimicEncoder:
    """robomimic's own encoder of these keys, with fresh weights, made through its `algo_factory`.

    Args:
        keys: what to encode; the features stand in this order.
        backbone: the convolutions of each camera's network.
        crop: height and width of the crop, or None.
        feature_dimension: features per camera.
        num_keypoints: points that the spatial softmax finds in each camera.
    """
    algo = import_robomimic("robomimic.algo")
    modalities, network = modalities_of(keys), backbone.network()
    config = robomimic_config(modalities, backbone, crop, feature_dimension, num_keypoints)
    with (
        robomimic_observation_keys(modalities),
        _known_to_robomimic(network),
        warnings.catch_warnings(),
    ):
        # robomimic asks torchvision for a network in a way that torchvision has renamed since.
        warnings.filterwarnings("ignore", message=".*weight", category=UserWarning, module="torchvision")
        policy = algo.algo_factory(
            algo_name=config.algo_name,
            config=config,
            obs_key_shapes={key.name: list(key.shape) for key in keys},
            ac_dim=1,
            device="cpu",
        )
    return policy.nets["policy"].nets["encoder"].nets["obs"]


def modalities_of(keys: Sequence[ObservationKey]) -> dict[str, list[str]]:
    """The keys' names by robomimic's modality."""
    return {kind: [key.name for key in keys if key.type == kind] for kind in ("low_dim", "rgb")}


def robomimic_config(
    modalities: Mapping[str, Sequence[str]],
    backbone: Backbone,
    crop: tuple[int, int] | None,
    feature_dimension: int,
    num_keypoints: int,
) -> BCConfig:
    """The encoder settings of robomimic's published image experiments (Mandlekar et al. 2021, appendix).

    Args:
        modalities: as `modalities_of` gives them.
        backbone, crop, feature_dimension, num_keypoints: as in `build_robomimic_encoder`.

    Returns:
        What `algo_factory` takes as `config`, of a recurrent policy that is as small as can be.
    """
    config = import_robomimic("robomimic.config").config_factory("bc")
    with config.unlocked():
        config.observation.modalities.obs = {name: list(keys) for name, keys in modalities.items()}
        # A recurrent policy, as in the project's outline; its size does not touch the encoder.
        config.algo.rnn.enabled = True
        config.algo.rnn.hidden_dim = 1
        config.algo.rnn.num_layers = 1
        config.algo.actor_layer_dims = ()

        rgb = config.observation.encoder.rgb
        rgb.core_class = "VisualCore"
        rgb.core_kwargs.feature_dimension = feature_dimension
        rgb.core_kwargs.backbone_class = backbone.network().__name__
        for name, value in backbone.arguments.items():
            rgb.core_kwargs.backbone_kwargs[name] = value
        rgb.core_kwargs.pool_class = "SpatialSoftmax"
        rgb.core_kwargs.pool_kwargs.num_kp = num_keypoints
        rgb.core_kwargs.pool_kwargs.learnable_temperature = False
        rgb.core_kwargs.pool_kwargs.temperature = 1.0
        rgb.core_kwargs.pool_kwargs.noise_std = 0.0
        if crop is not None:
            rgb.obs_randomizer_class = "CropRandomizer"
            rgb.obs_randomizer_kwargs.crop_height, rgb.obs_randomizer_kwargs.crop_width = crop
    return config


def replace_batch_norm(root: nn.Module) -> None:
    """Puts GroupNorm with 16 channels per group in the place of every BatchNorm2d under `root`.

    The sampled policy uses averaged weights (EMA). The average covers parameters, not BatchNorm's running
    statistics, which then belong to other weights and ruin the features (Chi et al. 2023, section III-B).
    """
    for module in list(root.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.GroupNorm(child.num_features // 16, child.num_features))
