"""A recorded model opens nothing but robosuite's own meshes and textures."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from ddpm_edu.errors import SimulatorError
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.simulation.env import ManipulationEnv
from ddpm_edu.simulation.model_xml import physics_only, with_own_assets
from ddpm_edu.third_party import import_mujoco, robosuite_assets


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    folder = tmp_path / "robosuite" / "models" / "assets"
    (folder / "meshes").mkdir(parents=True)
    for name in ("meshes/a.stl", "panda/link0.stl", "sawyer/link0.stl"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (tmp_path / "secret.stl").touch()
    (folder / "link.stl").symlink_to(tmp_path / "secret.stl")
    os.mkfifo(folder / "fifo.stl")
    return folder


@pytest.mark.parametrize(
    "named",
    [
        "robosuite/models/assets/meshes/a.stl",
        "/home/me/robosuite/robosuite/models/assets/meshes/a.stl",
        r"C:\Users\me\robosuite\models\assets\meshes\a.stl",
        r"C:\Users\me\My Assets\Meshes\A.STL",
        "/tmp/model/a.stl",
        "meshes/a.stl",
        "robosuite/models/assets/an_older_place/a.stl",
    ],
)
def test_own_assets_are_found_wherever_they_were(assets: Path, named: str) -> None:
    model = f'<mujoco><compiler meshdir="/etc"/><asset><mesh file="{named}"/></asset></mujoco>'
    wanted = f'<mujoco><compiler /><asset><mesh file="{assets / "meshes/a.stl"}" /></asset></mujoco>'
    assert with_own_assets(model, assets) == wanted


def test_of_several_files_of_a_name_the_nearest_place_is_taken_and_none_at_random(assets: Path) -> None:
    model = '<mujoco><asset><mesh file="{}"/></asset></mujoco>'
    found = with_own_assets(model.format("/elsewhere/panda/link0.stl"), assets)
    assert f'file="{assets / "panda/link0.stl"}"' in found
    with pytest.raises(SimulatorError, match=r"'flat/link0\.stl', and robosuite has 2 files of that name"):
        with_own_assets(model.format("flat/link0.stl"), assets)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ('<asset><mesh file="/etc/passwd"/></asset>', "none of robosuite's assets"),
        ('<asset><texture fileup="/etc/passwd"/></asset>', "none of robosuite's assets"),
        (
            '<asset><mesh file="robosuite/models/assets/../../../secret.stl"/></asset>',
            "not among robosuite's",
        ),
        ('<asset><mesh file="robosuite/models/assets/link.stl"/></asset>', "not among robosuite's"),
        ('<asset><mesh file="robosuite/models/assets/fifo.stl"/></asset>', "not among robosuite's"),
        ('<asset><mesh file="robosuite/models/assets/"/></asset>', "not among robosuite's"),
        (f'<asset><mesh file="robosuite/models/assets/{"a" * 9999}"/></asset>', "not among robosuite's"),
        ('<include file="robosuite/models/assets/meshes/a.stl"/>', "<include>"),
        ('<asset><model file="robosuite/models/assets/meshes/a.stl"/></asset>', "<model>"),
        ('<extension><plugin plugin="mujoco.sdf"/></extension>', "<extension>"),
        ('<worldbody><body><plugin plugin="x"/></body></worldbody>', "<plugin>"),
        ('<custom file="robosuite/models/assets/meshes/a.stl"/>', "file in <custom>"),
        ("<a>", "no XML"),
    ],
)
def test_all_else_is_refused(assets: Path, inside: str, message: str) -> None:
    with pytest.raises(SimulatorError, match=message):
        with_own_assets(f"<mujoco>{inside}</mujoco>", assets)


def test_entities_are_refused_before_anything_reads_them(assets: Path) -> None:
    with pytest.raises(SimulatorError, match="document type"):
        with_own_assets('<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]><m>&a;</m>', assets)


def test_the_simulator_refuses_it_in_one_line_and_goes_on(can: ManipulationEnv, tmp_path: Path) -> None:
    can.reset(seed=0)
    state, fifo = can.get_state(), tmp_path / "fifo.stl"
    os.mkfifo(fifo)  # MuJoCo would wait for it for ever
    hostile = can.model_xml.replace("<asset>", f'<asset><mesh name="fifo" file="{fifo}"/>', 1)
    with pytest.raises(SimulatorError, match="none of robosuite's assets") as caught:
        can.reset_to(state, hostile)
    assert "\n" not in str(caught.value)
    can.reset(seed=0)
    assert (can.get_state() == state).all()


def test_without_what_is_only_seen_a_demonstration_goes_the_same_way(
    can: ManipulationEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last digit, contacts and all, under the torques that robosuite gave the whole model."""
    with h5py.File(shipped_demonstrations("can")) as file:
        demonstration = file["data/demo_0"]
        model_xml = demonstration.attrs["model_file"]
        first, actions = demonstration["states"][0], demonstration["actions"][()]
    can.reset_to(first, model_xml)
    robot, simulated = can._env, can._env.sim
    given: list[np.ndarray] = []
    act = robot._pre_action

    def recording(*arguments: object) -> None:
        act(*arguments)
        given.append(simulated.data.ctrl.copy())

    monkeypatch.setattr(robot, "_pre_action", recording)
    for action in actions:
        can.step(action)
    assert can.is_success()

    mujoco = import_mujoco()
    xml, files = physics_only(with_own_assets(model_xml, robosuite_assets()))
    model = mujoco.MjModel.from_xml_string(xml, {name: path.read_bytes() for name, path in files.items()})
    data = mujoco.MjData(model)
    data.time, data.qpos, data.qvel = first[0], first[1 : 1 + model.nq], first[1 + model.nq :]
    mujoco.mj_forward(model, data)
    for torques in given:
        mujoco.mj_step1(model, data)
        data.ctrl = torques
        mujoco.mj_step2(model, data)
    np.testing.assert_array_equal(data.qpos, simulated.data.qpos)
    assert model.ngeom < simulated.model.ngeom / 3
    assert model.nmesh == 14
    assert model.ntex == 0
