"""What a user's own file adds works through every command, and so does every choice that is registered."""

from __future__ import annotations

from pathlib import Path

import pytest
from walks import walk

from ddpm_edu.denoisers import DENOISERS
from ddpm_edu.diffusion.noise_schedulers import NOISE_SCHEDULERS
from ddpm_edu.diffusion.processes import PROCESSES
from ddpm_edu.factory import make_policy
from ddpm_edu.registry import PLUGINS, Registry

REGISTRIES = {"denoiser": DENOISERS, "process": PROCESSES, "scheduler": NOISE_SCHEDULERS}
FROM_OUTSIDE = {
    ("denoiser", "mlp"): "extensions.denoiser_mlp",
    ("process", "arc"): "extensions.process_arc",
    ("scheduler", "unipc"): "extensions.scheduler_unipc",
}


@pytest.fixture
def plugged_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry of a choice, in which it is as long as the test lasts."""
    registry = REGISTRIES[request.param[0]]
    names = dict(registry)
    monkeypatch.setattr(registry, "_items", names)
    module = FROM_OUTSIDE.get(request.param)
    if module is not None:
        monkeypatch.setenv(PLUGINS, module)
        monkeypatch.setattr(registry, "_loaded", False)
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)
    return registry


def walked(kind: str, name: str, folder: Path) -> dict:
    if kind == "denoiser":
        return walk(folder, denoiser=name)
    return walk(folder, f"--{kind}", name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugged_in", "kind", "name"), [(key, *key) for key in FROM_OUTSIDE], indirect=["plugged_in"]
)
def test_a_single_file_adds_a_choice(plugged_in: Registry, kind: str, name: str, tmp_path: Path) -> None:
    card = walked(kind, name, tmp_path)
    policy = card["policy"]
    assert (policy["noise"] if kind == "scheduler" else policy)[kind] == name
    assert name in card["training"]["command"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, registry in REGISTRIES.items() for name in registry]
)
def test_every_registered_choice_goes_all_the_way(kind: str, name: str, tmp_path: Path) -> None:
    walked(kind, name, tmp_path)


def test_two_networks_may_share_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DENOISERS, "_items", dict(DENOISERS))
    import extensions.denoiser_mlp as extension

    DENOISERS._items.pop("mlp", None)
    DENOISERS.register(extension.MlpConfig)
    assert make_policy(denoiser="mlp", n_layer=3).config.denoiser.n_layer == 3
    assert make_policy(denoiser="transformer", n_layer=3).config.denoiser.n_layer == 3
