"""Pictures that are not what the states look like: each way is named."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from ddpm_edu import cli
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.simulation.pictures import _difference, compare_pictures
from ddpm_edu.tasks import get_task

AGENT, HAND = "agentview_image", "robot0_eye_in_hand_image"


def test_shipped_pictures_are_what_the_states_look_like_and_spoilt_ones_are_not(
    tmp_path: Path, capsys
) -> None:
    source = shipped_demonstrations("square", "image")
    assert list(compare_pictures(source, get_task("square"))) == []
    path = tmp_path / "spoilt.hdf5"
    with h5py.File(source) as whole, h5py.File(path, "w") as file:
        for name in ("data", "mask"):
            group = file.create_group(name)
            group.attrs.update(whole[name].attrs)
        whole.copy("data/demo_0", file["data"])
        obs = file["data/demo_0/obs"]
        obs[AGENT][:] = obs[AGENT][:][:, ::-1]
        obs[HAND][:] = 0
    assert cli.main(["data", "inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"pictures        demo_0/obs/{AGENT}: the pictures stand upside down" in said
    assert f"pictures        demo_0/obs/{HAND}: the pictures show nothing" in said


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
