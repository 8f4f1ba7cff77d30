"""Checkpoints of the reference, as they were saved and with changes."""

from __future__ import annotations

import pytest
import torch
from reference_recordings import NAMES, make_checkpoint

from ddpm_edu.reference.archive import Archive
from ddpm_edu.reference.plain import plain_config


@pytest.fixture(scope="session", params=NAMES)
def recording(request, tmp_path_factory):
    """Each recording in turn."""
    return make_checkpoint(request.param, tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="session")
def state_unet(tmp_path_factory):
    """The recording of a state policy with UNet, global conditioning, and an optimiser's state."""
    return make_checkpoint("unet_lowdim", tmp_path_factory.mktemp("reference"))


@pytest.fixture
def rewritten(state_unet, tmp_path):
    """A function that changes the configuration and the weights of a checkpoint, and saves it again."""

    def rewrite(change=lambda cfg, state: None, name="changed.ckpt", **options):
        with Archive(state_unet.path) as archive:
            stored = archive.content["state_dicts"]["ema_model"]
            state = {key: archive.tensor(value).clone() for key, value in stored.items()}
            cfg = plain_config(archive.content["cfg"])
        change(cfg, state)
        payload = {"cfg": cfg, "state_dicts": {"ema_model": state}, "pickles": {}}
        torch.save(payload, tmp_path / name, **options)
        return tmp_path / name

    return rewrite
