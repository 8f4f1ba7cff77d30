"""Pictures that are not what the states look like: each way is named."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ddpm_edu import cli
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.simulation.pictures import _difference, _hand_difference, compare_with_states
from ddpm_edu.tasks import get_task

AGENT, HAND = "agentview_image", "robot0_eye_in_hand_image"


def test_shipped_pictures_are_what_the_states_look_like_and_spoilt_ones_are_not(
    tmp_path: Path, capsys
) -> None:
    source = shipped_demonstrations("square", "image")
    assert list(compare_with_states(source, get_task("square"))) == []
    path = tmp_path / "spoilt.hdf5"
    with h5py.File(source) as whole, h5py.File(path, "w") as file:
        for name in ("data", "mask"):
            group = file.create_group(name)
            group.attrs.update(whole[name].attrs)
        whole.copy("data/demo_0", file["data"])
        whole.copy("data/demo_1", file["data"])
        for name in ("demo_0", "demo_1"):
            del file[f"data/{name}/obs/object"]  # as in a file for cameras alone
        quat = file["data/demo_1/obs/robot0_eef_quat"]
        x, y, z, w = quat[:].T  # in a frame that is turned by a quarter
        quat[:] = np.stack([x + y, y - x, z + w, w - z], axis=-1) * 0.5**0.5
        obs = file["data/demo_0/obs"]
        obs[AGENT][:] = obs[AGENT][:][:, ::-1]
        obs[HAND][:] = 0
    assert cli.main(["data", "inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"states          demo_0/obs/{AGENT}: the pictures stand upside down" in said
    assert f"states          demo_0/obs/{HAND}: the pictures show nothing" in said
    hand = "states          demo_1/obs/robot0_eef_quat is 90 degrees off, against what the states say"
    assert [line for line in said.splitlines() if "states  " in line and "robot0_eef_" in line] == [hand]


# A hand that points down and is turned by half a turn looks as an upright one with w first.
DOWN, TILTED, ROUND = [1.0, 0, 0, 0], [0.5, 0.5, -0.1, 0.7], [0.05, 1.0, 0, 0]


@pytest.mark.parametrize(
    ("true", "stored", "words"),
    [
        (DOWN, DOWN, None),
        (DOWN, [-1.0, 0, 0, 0], None),  # reading turns it
        (DOWN, [0, 1.0, 0, 0], None),  # reading reorders it
        (TILTED, [0.7, 0.5, 0.5, -0.1], "has w first"),
        (TILTED, [-0.5, -0.5, 0.1, 0.7], "is the hand's inverse rotation, against"),
        (TILTED, [0.7, -0.5, -0.5, 0.1], "is the hand's inverse rotation with w first"),
        (TILTED, TILTED, None),
        (ROUND, ROUND, "is right as it stands, and is read as if w came first"),
        (DOWN, [0.9, 0.4, 0, 0.1], "is 49 degrees off"),
    ],
)
def test_a_hand_that_the_states_do_not_explain_is_named(true, stored, words: str | None) -> None:
    place, steps = np.zeros((5, 3)), [0, 2, 4]
    obs = {"robot0_eef_pos": place, "robot0_eef_quat": np.tile(stored, (5, 1))}
    known = {"robot0_eef_pos": place[steps], "robot0_eef_quat": np.tile(true, (3, 1))}
    said = list(_hand_difference(obs, known, steps, moving=True))
    assert said == [] if words is None else words in said[0]
    far = {**known, "robot0_eef_pos": place[steps] + [0, 0.03, 0]}
    assert next(_hand_difference(obs, far, steps, moving=True)) == (
        "robot0_eef_pos is 3.0 cm off what the states say"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda seen, other: seen, None),
        (lambda seen, other: seen[:, ::-1], "upside down"),
        (lambda seen, other: seen[:, :, ::-1], "mirrored"),
        (lambda seen, other: seen[:, ::-1, ::-1], "half a turn"),
        (lambda seen, other: seen[..., ::-1], "red and blue"),
        (lambda seen, other: seen[::-1], "backwards"),
        (lambda seen, other: other, f"are those of {HAND}"),
        (lambda seen, other: 255 - seen, "are not what the states look like"),
    ],
)
def test_what_was_done_to_pictures_is_named(change, words: str | None) -> None:
    with h5py.File(shipped_demonstrations("square", "image")) as file:
        obs = file["data/demo_0/obs"]
        steps = [0, len(obs[AGENT]) // 2, len(obs[AGENT]) - 1]
        rendered = {name: obs[name][steps].astype(int) for name in (AGENT, HAND)}
    said = _difference(AGENT, change(rendered[AGENT], rendered[HAND]), rendered)
    assert said is None if words is None else words in said
