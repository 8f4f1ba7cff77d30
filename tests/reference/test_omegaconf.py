"""Checkpoints as the reference's own training saves them, made by the real OmegaConf and dill."""

from __future__ import annotations

import collections
import enum
import io
import os
import pickle
from dataclasses import dataclass, field
from typing import Any

import dill
import pytest
import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from ddpm_edu.cli import main
from ddpm_edu.errors import CheckpointError
from ddpm_edu.reference import unpickle
from ddpm_edu.reference.archive import Archive
from ddpm_edu.reference.importer import read_reference
from ddpm_edu.reference.plain import plain_config


class Colour(enum.Enum):
    RED = 1


@dataclass
class Logging:
    """A typed group, as hydra's structured configurations are."""

    project: str = "diffusion"
    tags: list[str] = field(default_factory=lambda: ["a", "b"])
    colour: Colour = Colour.RED
    times: dict[str, int] = field(default_factory=lambda: {"epoch": 1})


@pytest.fixture(autouse=True)
def resolvers():
    """Those of hydra and of the reference's train.py, and some that return whole groups or nothing."""
    cached = {
        "now": lambda pattern: f"at {pattern}",
        "group": lambda *names: OmegaConf.create({name: [1, {"b": None}] for name in names}),
        "nothing": lambda: None,
        "plus": lambda a, b: a + b,
    }
    for name, resolver in cached.items():
        OmegaConf.register_new_resolver(name, resolver, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("eval", lambda text: eval(text, {}), replace=True)
    yield
    OmegaConf.clear_resolvers()


def hydra_settings(plain: dict[str, Any]) -> DictConfig:
    """The recorded settings as the reference's YAML files write them: with references and resolvers."""
    cfg = OmegaConf.create(plain)
    names = ("horizon", "n_obs_steps", "n_action_steps")
    for name in names:
        cfg.policy[name] = f"${{{name}}}"
    cfg.policy.num_inference_steps = "${policy.noise_scheduler.num_train_timesteps}"
    cfg.policy.obs_dim = "${task.obs_dim}"
    cfg.policy.action_dim = "${..task.action_dim}"
    cfg.policy.model.input_dim = (
        "${eval:'${action_dim} if ${obs_as_global_cond} else ${obs_dim} + ${action_dim}'}"
    )
    cfg.policy.model.global_cond_dim = "${eval:'${obs_dim}*${n_obs_steps}'}"
    cfg.policy.model.down_dims = ["${sizes[0]}", "${eval:'2*${sizes[0]}'}"]
    cfg.sizes = [8, 16]
    cfg.logging = {"name": "${now:%Y.%m.%d-%H.%M.%S}_${name}_${task_name}", "resume": True, "missing": "???"}
    cfg.multi_run = {"run_dir": "data/outputs/${now:%Y.%m.%d}/${now:%H.%M.%S}_${name}"}
    cfg.extra = {
        "groups": "${group:a,${name},'c d'}",
        "none": "${nothing:}",
        "sum": "${plus:${horizon},1}",
        "policy": "${policy}",
    }
    return cfg


def touch(cfg: DictConfig) -> None:
    """Every value read once, as training does: what resolvers return is kept in the root's cache."""
    for node in (cfg.logging.name, cfg.multi_run.run_dir, *cfg.extra.values()):
        str(node)


def resolved(cfg: DictConfig) -> DictConfig:
    OmegaConf.resolve(cfg)  # the reference's train.py does, so that all ${now:} have the same time
    return cfg


def typed(cfg: DictConfig) -> DictConfig:
    with open_dict(cfg):
        cfg.typed = OmegaConf.structured(Logging)
        cfg.list = OmegaConf.structured([Logging, Logging(project="${name}")])
    return resolved(cfg)


def other_keys(cfg: DictConfig) -> DictConfig:
    cfg.keyed = {7: "seven", True: "yes", 0.5: "half", Colour.RED: "red"}
    cfg.values = OmegaConf.create({"colour": Colour.RED, "none": None, "empty": {}, "float": float("nan")})
    return resolved(cfg)


def flagged(cfg: DictConfig) -> DictConfig:
    resolved(cfg)
    OmegaConf.set_struct(cfg, True)
    OmegaConf.set_readonly(cfg, True)
    OmegaConf.set_struct(cfg.policy, False)
    return cfg


def job(cfg: DictConfig) -> DictConfig:
    """Hydra hands over a copy without its own group; the cache goes along."""
    cfg.hydra = {"job": {"name": "${now:%S}", "chdir": None}, "run": {"dir": "${..job.name}"}}
    resolved(cfg)
    copied = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
    OmegaConf.copy_cache(cfg, copied)
    return copied


@pytest.fixture(scope="session")
def recorded(state_unet):
    """The plain settings of a recording, and its state."""
    with Archive(state_unet.path) as archive:
        stored = archive.content["state_dicts"]["ema_model"]
        state = {key: archive.tensor(value).clone() for key, value in stored.items()}
        return plain_config(archive.content["cfg"]), state, read_reference(state_unet.path)


def save(cfg: Any, state: Any, path, **options) -> None:
    """`BaseWorkspace.save_checkpoint` of the reference."""
    payload = {"cfg": cfg, "state_dicts": {"ema_model": state}, "pickles": {"epoch": dill.dumps(3)}}
    with path.open("wb") as file:
        torch.save(payload, file, pickle_module=dill, **options)


CHANGES = (resolved, typed, other_keys, flagged, job)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_what_hydra_and_omegaconf_write_is_read(recorded, tmp_path, change, zipped):
    plain, state, wanted = recorded
    cfg = change(hydra_settings(plain))
    cache = OmegaConf.get_cache(cfg)
    assert cache["now"][("%Y.%m.%d",)] == "at %Y.%m.%d"  # without it this test shows nothing
    save(cfg, state, tmp_path / "latest.ckpt", _use_new_zipfile_serialization=zipped)
    found = read_reference(tmp_path / "latest.ckpt")
    assert found.settings == wanted.settings
    assert all(torch.equal(found.state[name], value) for name, value in wanted.state.items())


def test_references_that_were_never_resolved_are_followed(recorded, tmp_path):
    plain, state, wanted = recorded
    cfg = hydra_settings(plain)
    touch(cfg)
    assert OmegaConf.get_cache(cfg)["group"]
    cfg.levels = "${sizes}"
    cfg.policy.model.down_dims = ["${levels[0]}", "${....sizes.1}"]
    assert list(cfg.policy.model.down_dims) == [8, 16]  # OmegaConf reads them so
    save(cfg, state, tmp_path / "latest.ckpt")
    assert read_reference(tmp_path / "latest.ckpt").settings == wanted.settings


def test_a_resolver_that_was_never_run_stays_unknown(recorded, tmp_path):
    plain, state, _ = recorded
    cfg = hydra_settings(plain)
    cfg.horizon = "${eval:'4*2'}"
    save(cfg, state, tmp_path / "latest.ckpt")
    with pytest.raises(CheckpointError, match=r"policy\.horizon is .*eval") as refusal:
        read_reference(tmp_path / "latest.ckpt")
    assert "\n" not in str(refusal.value)


class Calling:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("place", ["cache", "value", "policy"])
def test_nothing_in_a_resolver_cache_runs(recorded, tmp_path, place, capsys):
    plain, state, _ = recorded
    cfg, owned = resolved(hydra_settings(plain)), tmp_path / "owned"
    if place == "cache":
        OmegaConf.get_cache(cfg)["now"][("%Y",)] = Calling(str(owned))
    elif place == "value":
        cfg.__dict__["_content"]["logging"].__dict__["_content"]["name"].__dict__["_val"] = Calling(
            str(owned)
        )
    else:
        cfg.__dict__["_content"]["policy"] = Calling(str(owned))
    save(cfg, state, tmp_path / "latest.ckpt")
    code = main(["import", str(tmp_path / "latest.ckpt"), "--out", str(tmp_path / "policy")])
    assert not owned.exists()
    if place == "policy":
        assert code == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    else:  # nobody needs that value, and it was never made
        assert code == 0
    with (tmp_path / "latest.ckpt").open("rb") as file:  # the real reader would have run it
        torch.load(file, pickle_module=dill, weights_only=False)
    assert owned.exists()


def deep_tuple():
    value = ()
    for _ in range(100):
        value = (value,)
    return value


@pytest.mark.parametrize("key", [(1,), ("a", ("b",)), (b"a",), ("a",) * 257, deep_tuple(), (Colour.RED,)])
def test_other_tuples_as_keys_are_refused(key):
    with pytest.raises(CheckpointError, match="tuple") as refusal:
        unpickle.read_pickle(io.BytesIO(pickle.dumps({"now": {key: 1}})))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (pickle.dumps(2**2000), "whole number of 2001 bits"),
        # One list of pairs, given to many dictionaries.
        (
            b"ccollections\nOrderedDict\nq\x00((l" + b"(I1\nI1\nta" * 100 + b"tq\x020"
            + b"h\x00h\x02R0" * 11 + b"N.",
            "without end",
        ),
        (b"N" + b"20" * 1000 + b".", "more than 1000 instructions"),
    ],
)  # fmt: skip
def test_what_would_take_for_ever_is_refused(monkeypatch, attack, message):
    for limit in ("_MOST_COPIED", "_MOST_INSTRUCTIONS"):
        monkeypatch.setattr(unpickle, limit, 1000)
    with pytest.raises(CheckpointError, match=message):
        unpickle.read_pickle(io.BytesIO(attack))


def test_a_message_does_not_spell_out_what_a_file_holds(recorded, tmp_path):
    """An object of objects of objects, each twice: 2^60 of them when spelt out."""
    plain, state, _ = recorded

    class Doubling:
        def __init__(self, part):
            self.part = part

        def __reduce__(self):
            return collections.deque, ((self.part, self.part),)

    bomb: Any = None
    for _ in range(60):
        bomb = Doubling(bomb)
    changed = {**plain, "policy": {**plain["policy"], "horizon": bomb}}
    save(changed, state, tmp_path / "bomb.ckpt")
    with pytest.raises(CheckpointError, match=r"policy\.horizon is <'collections\.deque'>"):
        read_reference(tmp_path / "bomb.ckpt")
