"""Quaternions in another order or with another sign: found in every demonstration, and mended."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ddpm_edu.data.comparison import differences
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.object_layout import HAND_FIRST, HAND_W_FIRST, OBJECT_W_FIRST, SIGN, to_task
from ddpm_edu.errors import DatasetError
from ddpm_edu.paths import shipped_demonstrations


def w_first(quat: np.ndarray) -> np.ndarray:
    return np.roll(quat, 1, axis=-1)


def change(path: Path, name: str, key: str, values: np.ndarray) -> None:
    with h5py.File(path, "a") as file:
        file[f"data/{name}/obs/{key}"][:] = values


@pytest.mark.parametrize("task", ["can", "square"])
def test_shipped_demonstrations_are_found_out_whatever_is_done_to_them(task: str) -> None:
    quat, object = "robot0_eef_quat", "object"
    with h5py.File(shipped_demonstrations(task, "low_dim")) as file:
        for demo in list(file["data"].values())[::10]:
            obs = {key: demo["obs"][key][:] for key in ("robot0_eef_pos", quat, object)}
            assert to_task("", obs) == ({}, ())
            for altered, expected in (
                ({quat: w_first(obs[quat])}, (HAND_W_FIRST,)),
                ({quat: -obs[quat]}, (SIGN,)),
                ({quat: w_first(-obs[quat])}, (HAND_W_FIRST, SIGN)),
                ({quat: obs[quat] * np.where(np.arange(len(obs[quat])) % 3, 1, -1)[:, None]}, (SIGN,)),
                ({object: np.roll(obs[object], 7, axis=-1)}, (HAND_FIRST,)),
                ({object: obs[object][:, [0, 1, 2, 6, 3, 4, 5, 7, 8, 9, 13, 10, 11, 12]]}, (OBJECT_W_FIRST,)),
            ):
                changed, found = to_task("", {**obs, **altered})
                assert found == expected
                for key, value in changed.items():
                    assert np.abs(value - obs[key]).max() < 1e-5


def test_files_with_pictures_tell_by_their_first_step() -> None:
    with h5py.File(shipped_demonstrations("square", "image")) as file:
        for demo in file["data"].values():
            obs = {key: demo["obs"][key][:] for key in ("robot0_eef_pos", "robot0_eef_quat")}
            assert to_task("", obs) == ({}, ())
            turned = {**obs, "robot0_eef_quat": w_first(-obs["robot0_eef_quat"])}
            changed, found = to_task("", turned)
            assert found == (HAND_W_FIRST, SIGN)
            assert np.array_equal(changed["robot0_eef_quat"], obs["robot0_eef_quat"])


def test_one_demonstration_among_others_is_mended_and_said(write_file, capsys) -> None:
    path = write_file([6, 7, 8])
    whole = Demonstrations.read(path, "can").obs["robot0_eef_quat"]
    assert capsys.readouterr().err == ""
    change(path, "demo_1", "robot0_eef_quat", w_first(whole[6:13]))
    change(path, "demo_2", "robot0_eef_quat", -whole[13:])
    assert np.allclose(Demonstrations.read(path, "can").obs["robot0_eef_quat"], whole, atol=1e-6)
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: 1 demonstrations: {text}" for text in (HAND_W_FIRST, SIGN)
    ]
    said = [difference.text for difference in differences(path)]
    assert {f"1 of 3 demonstrations: {text}" for text in (HAND_W_FIRST, SIGN)} <= set(said)


def test_what_no_order_explains_is_refused(write_file) -> None:
    path = write_file([6, 7])
    change(path, "demo_1", "robot0_eef_quat", np.tile([0.6, 0.0, 0.0, 0.8], (7, 1)))
    with pytest.raises(DatasetError, match=r"demo_1/obs/object does not fit .* degrees, and no order"):
        Demonstrations.read(path, "can")
    assert any(found.kind == "refused" and "demo_1/obs/object" in found.text for found in differences(path))
