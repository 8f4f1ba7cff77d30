"""The observation encoders against robomimic itself."""

from __future__ import annotations

import contextlib
import copy
import importlib
import warnings

import pytest
import torch

from ddpm_edu.errors import CheckpointError, ConfigError
from ddpm_edu.observation import (
    LowDimEncoder,
    RobomimicImageEncoder,
    make_obs_encoder,
    robomimic_observation_keys,
)
from ddpm_edu.observation.crop import RandomCrop
from ddpm_edu.reference.encoder_names import encoder_state_from_reference
from ddpm_edu.tasks import CAN, SQUARE, ObservationKey
from ddpm_edu.third_party import import_robomimic

CAMERAS = ("agentview_image", "robot0_eye_in_hand_image")


def readings(keys=CAN.image, frames=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {key.name: torch.rand(frames, *key.shape, generator=generator) * 2 - 1 for key in keys}


def image_encoder(seed=0, **settings):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_obs_encoder("can", "image", **settings)


def robomimic_globals():
    obs_utils = import_robomimic("robomimic.utils.obs_utils")
    names = ("OBS_KEYS_TO_MODALITIES", "OBS_MODALITIES_TO_KEYS", "DEFAULT_ENCODER_KWARGS")
    return {name: getattr(obs_utils, name) for name in names}


def robomimic_reference_encoder(seed=0, crop=76):
    """robomimic's encoder as its own published recipe for BC-RNN on images makes it, with its globals."""
    import_robomimic("robomimic.algo")
    recipes = importlib.import_module("robomimic.scripts.generate_paper_configs")
    config = importlib.import_module("robomimic.config").config_factory("bc")
    config = recipes.modify_config_for_default_image_exp(config)
    config = recipes.modify_bc_rnn_config_for_dataset(config, "square", "ph", "image")
    rgb = config.observation.encoder.rgb
    with config.unlocked():
        rgb.obs_randomizer_kwargs.crop_height = rgb.obs_randomizer_kwargs.crop_width = crop
    modalities = {"rgb": CAMERAS, "low_dim": [key.name for key in CAN.image[2:]]}
    shapes = {key.name: list(key.shape) for key in CAN.image}
    with robomimic_observation_keys(modalities), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torchvision's, about robomimic's call
            policy = importlib.import_module("robomimic.algo").algo_factory("bc", config, shapes, 7, "cpu")
    return policy.nets["policy"].nets["encoder"].nets["obs"]


@pytest.fixture(scope="module")
def encoder():
    """With GroupNorm; tests leave it in evaluation mode."""
    return image_encoder().eval()


@pytest.fixture(scope="module")
def robomimic_encoder():
    """With BatchNorm, as robomimic makes it."""
    return robomimic_reference_encoder()


# --- low-dim ---


@pytest.mark.parametrize("task", [CAN, SQUARE], ids=lambda task: task.name)
def test_low_dim_features_are_the_readings_in_key_order(task):
    encoder = make_obs_encoder(task)
    obs = readings(task.low_dim, frames=3)
    features = encoder({name: obs[name] for name in reversed(obs)})
    assert encoder.obs_feature_dim == features.shape[1] == 23
    assert list(encoder.parameters()) == []
    names = ["object", "robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"]
    assert torch.equal(features, torch.cat([obs[name] for name in names], dim=1))


# --- against robomimic ---


def test_sizes_are_the_published_ones(encoder):
    assert encoder.obs_feature_dim == 137
    assert sum(p.numel() for p in encoder.parameters() if p.requires_grad) == 22_394_176
    norms = [module for module in encoder.modules() if isinstance(module, torch.nn.GroupNorm)]
    assert len(norms) == 2 * 20
    assert all(norm.num_channels == 16 * norm.num_groups for norm in norms)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in encoder.modules())


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_equals_robomimics_own_recipe(robomimic_encoder, training):
    """Same seed, same weights, same crops, same features, though ours builds a smaller policy around it."""
    ours = image_encoder(group_norm=False, reference_compatible=True).train(training)
    theirs = copy.deepcopy(robomimic_encoder).train(training)
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name]), name
    obs = readings(frames=4)
    features = []
    for encoder in (ours, theirs):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            features.append(encoder(obs))
    assert torch.equal(*features)
    assert features[0].shape == (4, 137)
    assert torch.equal(features[0][:, 128:], torch.cat([obs[key.name] for key in CAN.image[2:]], dim=1))


def test_reference_state_loads_with_its_doubled_names(robomimic_encoder):
    theirs = copy.deepcopy(robomimic_encoder).eval()
    for name, module in list(theirs.named_modules()):  # as the reference does for `obs_encoder_group_norm`
        if isinstance(module, torch.nn.BatchNorm2d):
            parent, _, child = name.rpartition(".")
            norm = torch.nn.GroupNorm(module.num_features // 16, module.num_features)
            torch.nn.init.uniform_(norm.weight)
            setattr(theirs.get_submodule(parent), child, norm)
    torch.nn.init.normal_(theirs.obs_nets[CAMERAS[1]].nets[3].weight)
    state = {f"obs_encoder.{name}": value for name, value in theirs.state_dict().items()}
    state["model.weight"] = torch.zeros(1)
    state["mask_generator._dummy"] = torch.zeros(0)
    ours = image_encoder(seed=1).eval()
    mapped = encoder_state_from_reference(state)
    assert list(mapped) == list(ours.state_dict())
    ours.load_state_dict(mapped, strict=True)
    assert torch.equal(ours(readings()), theirs(readings()))
    image_encoder().load_state_dict(theirs.state_dict(), strict=True)

    state["obs_encoder.obs_nets.agentview_image.nets.0.nets.0.weight"] = torch.zeros(64, 3, 7, 7)
    with pytest.raises(CheckpointError, match=r"backbone\.nets\.0\.weight.*nets\.0\.nets\.0\.weight"):
        encoder_state_from_reference(state)
    with pytest.raises(CheckpointError, match=r"no image encoder.*model\.weight"):
        encoder_state_from_reference({"model.weight": torch.zeros(1)})


def test_state_holds_each_tensor_once_and_round_trips(encoder, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    policy = torch.nn.ModuleDict({"obs_encoder": encoder})
    state = policy.state_dict()
    assert "obs_encoder.obs_nets.agentview_image.backbone.nets.0.weight" in state
    assert len({value.data_ptr() for value in state.values()}) == len(state)
    safetensors.save_file(state, tmp_path / "policy.safetensors")  # refuses tensors that share memory
    other = torch.nn.ModuleDict({"obs_encoder": image_encoder(seed=5).eval()})
    assert not torch.equal(other["obs_encoder"](readings()), encoder(readings()))
    other.load_state_dict(safetensors.load_file(tmp_path / "policy.safetensors"), strict=True)
    assert torch.equal(other["obs_encoder"](readings()), encoder(readings()))

    del state["obs_encoder.obs_nets.agentview_image.backbone.nets.0.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*agentview_image\.backbone\.nets\.0\.weight"):
        other.load_state_dict(state, strict=True)


def test_gradients_reach_every_parameter_and_copies_are_equal(encoder):
    trained = copy.deepcopy(encoder).train()
    trained(readings()).square().sum().backward()
    missing = [name for name, p in trained.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []
    assert torch.equal(copy.deepcopy(trained).eval()(readings()), encoder(readings()))  # as an EMA copies it


# --- robomimic's globals ---


@pytest.mark.parametrize("image_first", [True, False], ids=["other keys second", "other keys first"])
def test_encoders_with_other_keys_live_side_by_side(image_first):
    """The second task calls a key `agentview_image` that is low-dim, so a leak would mix the two up."""
    before = robomimic_globals()
    contents = copy.deepcopy(before)
    other_keys = (ObservationKey("wrist", (3, 84, 84), "rgb", "image"), ObservationKey(CAMERAS[0], (5,)))

    def build(other):
        torch.manual_seed(0)
        return RobomimicImageEncoder(other_keys if other else CAN.image).eval()

    with torch.random.fork_rng(devices=[]):
        alone = {other: build(other)(readings(other_keys if other else CAN.image)) for other in (True, False)}
        encoders = {other: build(other) for other in (not image_first, image_first)}
    for other, encoder in encoders.items():
        assert torch.equal(encoder(readings(other_keys if other else CAN.image)), alone[other])
        assert "RandomCrop(76, 76" in str(encoder)  # robomimic's own encoder needs the globals to be printed
    assert alone[True].shape == (2, 64 + 5)
    after = robomimic_globals()
    assert all(after[name] is before[name] for name in before)
    assert after == contents


def test_globals_of_a_robomimic_user_survive_also_an_error():
    obs_utils = import_robomimic("robomimic.utils.obs_utils")
    with robomimic_observation_keys({"low_dim": ["mine"], "rgb": []}):
        mine = robomimic_globals()
        with contextlib.suppress(KeyError), robomimic_observation_keys({"rgb": ["mine"]}):
            assert obs_utils.key_is_obs_modality("mine", "rgb")
            raise KeyError
        assert all(value is mine[name] for name, value in robomimic_globals().items())
        assert obs_utils.key_is_obs_modality("mine", "low_dim")


def test_building_is_silent(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image_encoder()
    assert capfd.readouterr() == ("", "")


# --- crops ---


def offsets_of(crop, frames=4000):
    """Where each crop was taken, read from images whose pixels hold their own coordinates."""
    row, column = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    images = torch.stack([row, column, row + column]).expand(frames, -1, -1, -1)
    crops = crop(images)
    top, left = crops[:, 0, 0, 0], crops[:, 1, 0, 0]
    size = crops.shape[-1]
    assert torch.equal(crops[:, 0, :, 0] - top[:, None], torch.arange(float(size)).expand(frames, -1))
    assert torch.equal(crops[:, 1, 0, :] - left[:, None], torch.arange(float(size)).expand(frames, -1))
    return torch.stack([top, left], dim=1).long()


@pytest.mark.parametrize(("reference_compatible", "choices"), [(False, 9), (True, 8)])
def test_random_crops_draw_every_shift_alike(reference_compatible, choices):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        offsets = offsets_of(RandomCrop(4, 4, reference_compatible))
    for axis in (0, 1):
        counts = torch.bincount(offsets[:, axis], minlength=9)[:choices].double()
        assert counts.sum() == 4000  # none beyond
        expected = 4000 / choices
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert chi_square < 27  # 8 degrees of freedom: exceeded once in 1400 seeds
    assert abs(torch.corrcoef(offsets.T.double())[0, 1]) < 0.06  # rows and columns drawn on their own


def test_crops_follow_the_mode_and_the_seed():
    crop = RandomCrop(76, 76)
    images = readings(frames=6)[CAMERAS[0]]
    seeded = [crop(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(seeded[0], seeded[1])
    assert not torch.equal(seeded[0], seeded[2])
    state = torch.get_rng_state()
    assert torch.equal(crop.eval()(images), images[:, :, 4:80, 4:80])
    assert torch.equal(torch.get_rng_state(), state)


def test_encoder_crops_at_random_in_training_only(encoder):
    obs = readings()
    assert torch.equal(encoder(obs), encoder(obs))
    trained = copy.deepcopy(encoder).train()
    features = [trained(obs, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])


def test_whole_images_without_a_crop():
    encoder = image_encoder(crop=None).train()
    features = encoder(readings(frames=1))
    assert features.shape == (1, 137)
    assert torch.equal(encoder(readings(frames=1)), features)


# --- attention, for pictures ---


def test_keypoints_are_those_on_the_way_to_the_features(encoder):
    obs = readings()
    features = encoder(obs)
    trained = copy.deepcopy(encoder).train()
    trained.obs_nets[CAMERAS[0]].eval()  # a frozen camera must stay frozen
    state = torch.get_rng_state()
    keypoints, views = trained.keypoints(obs), trained.attention(obs)
    assert torch.equal(torch.get_rng_state(), state)
    assert trained.training
    assert not trained.obs_nets[CAMERAS[0]].training
    assert trained.obs_nets[CAMERAS[1]].training
    for index, camera in enumerate(CAMERAS):
        assert keypoints[camera].shape == (2, 32, 2)
        assert views[camera].features.shape == (2, 512, 3, 3)
        assert views[camera].attention.shape == (2, 32, 3, 3)
        torch.testing.assert_close(views[camera].attention.sum(dim=(2, 3)), torch.ones(2, 32))
        linear = encoder.obs_nets[camera].nets[3]
        expected = linear(keypoints[camera].flatten(1)).relu()
        torch.testing.assert_close(features[:, 64 * index : 64 * (index + 1)], expected)


def test_keypoint_pixels_are_where_the_network_looks(encoder):
    """With equal positive weights a cell's gradient is symmetric about the pixel that the cell stands for."""
    backbone = copy.deepcopy(encoder.obs_nets[CAMERAS[0]].backbone)
    for module in list(backbone.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.GroupNorm):
                setattr(module, name, torch.nn.Identity())
            elif isinstance(child, torch.nn.Conv2d):
                torch.nn.init.constant_(child.weight, 1 / child.weight[0].numel())
            elif isinstance(child, torch.nn.MaxPool2d):  # ties on a constant image; same window and stride
                setattr(module, name, torch.nn.AvgPool2d(3, stride=2, padding=1))
    # Cell 7 sees 435 pixels about pixel 224: the image is just large enough to hold them all.
    image = torch.ones(1, 3, 448, 448, requires_grad=True)
    backbone(image)[0, 0, 7, 7].backward()
    weight = image.grad[0].sum(dim=(0, 1))
    assert (weight * torch.arange(448)).sum() / weight.sum() == pytest.approx(7 * 32, abs=0.01)

    views = encoder.attention(readings(frames=1))
    pixels = encoder.keypoint_pixels(readings(frames=1))
    for camera in CAMERAS:
        scaled = (pixels[camera] - 4) / 32 - 1  # the crop starts at 4, its three cells stand at 0, 32, 64
        torch.testing.assert_close(scaled, views[camera].keypoints)


# --- bad input ---


@pytest.mark.parametrize("mode", ["low_dim", "image"])
def test_refuses_observations_that_do_not_fit(mode, encoder):
    encoder = encoder if mode == "image" else make_obs_encoder("can")
    good = readings(CAN.observation(mode))
    position = good["robot0_eef_pos"]
    refused = [
        ({k: v for k, v in good.items() if k != "robot0_eef_pos"}, r"lacks 'robot0_eef_pos'; found .*wanted"),
        (
            {**good, "robot0_eef_pos": position[:, :2]},
            r"'robot0_eef_pos' has shape \(2, 2\), wanted \(N, 3\)",
        ),
        ({**good, "robot0_eef_pos": position[:, None]}, r"\(2, 1, 3\), wanted \(N, 3\): fold batch and time"),
        ({**good, "robot0_eef_pos": position.long()}, r"'robot0_eef_pos' is torch.int64, wanted normalised"),
        ({**good, "robot0_eef_pos": position[:1]}, r"'robot0_eef_pos' has 1 frames, wanted 2 as in"),
        ({k: v[:0] for k, v in good.items()}, r"has shape \(0, .*no frames"),
    ]
    if mode == "image":
        image = good[CAMERAS[0]]
        refused += [
            (
                {**good, CAMERAS[0]: image.to(torch.uint8)},
                "'agentview_image' is torch.uint8, wanted normalised",
            ),
            (
                {**good, CAMERAS[0]: image.double()},
                "torch.float64, wanted torch.float32 as the encoder's weights",
            ),
            ({**good, CAMERAS[0]: image.movedim(1, -1)}, r"\(2, 84, 84, 3\), wanted \(N, 3, 84, 84\)"),
        ]
    for obs, message in refused:
        with pytest.raises(ConfigError, match=message) as caught:
            encoder(obs)
        assert "\n" not in str(caught.value)


def test_refuses_settings_that_do_not_fit():
    with pytest.raises(ConfigError, match=r"crop is \(84, 84\).*smaller than \(84, 84\)"):
        make_obs_encoder("can", "image", crop=(84, 84))
    with pytest.raises(ConfigError, match=r"num_keypoints is 0"):
        make_obs_encoder("can", "image", num_keypoints=0)
    with pytest.raises(ConfigError, match=r"image keys \['agentview_image'"):
        LowDimEncoder(CAN.image)
    with pytest.raises(ConfigError, match="without an image; use LowDimEncoder"):
        RobomimicImageEncoder(CAN.low_dim)
    with pytest.raises(ConfigError, match="observation is 'pixels'"):
        make_obs_encoder("can", "pixels")
    with pytest.raises(ConfigError, match="repeat a name"):
        LowDimEncoder(CAN.low_dim * 2)
    with pytest.raises(ConfigError, match="no keys"):
        LowDimEncoder(())
