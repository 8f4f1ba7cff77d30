"""Files that are read, number for number, and files that are refused, each with the line a user needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ddpm_edu.data import validation
from ddpm_edu.data.demonstrations import Demonstrations, read_split
from ddpm_edu.errors import ConfigError, DatasetError


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_every_number_of_the_file_arrives(write_file, compression: str | None) -> None:
    path = write_file([12, 5, 20], images=True, compression=compression)
    demonstrations = Demonstrations.read(path, "can", "image")
    assert len(demonstrations) == 3
    assert demonstrations.lengths.tolist() == [12, 5, 20]
    assert demonstrations.episode_ends.tolist() == [12, 17, 37]
    with h5py.File(path) as file:
        for index, name in enumerate(demonstrations.names):
            rows, group = demonstrations.steps(index), file["data"][name]
            assert np.array_equal(demonstrations.action[rows], group["actions"][:].astype(np.float32))
            for key, values in demonstrations.obs.items():
                stored = group["obs"][key][:]
                expected = np.moveaxis(stored, -1, 1) if key.endswith("image") else stored.astype(np.float32)
                assert values.dtype == expected.dtype
                assert np.array_equal(values[rows], expected)


def test_keys_are_the_tasks_and_images_keep_the_files_memory_order(write_file) -> None:
    path = write_file([4], images=True)
    low_dim = Demonstrations.read(path, "can")
    assert list(low_dim.obs) == ["object", "robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"]
    image = Demonstrations.read(path, "can", "image").obs["agentview_image"]
    assert image.shape == (4, 3, 84, 84)
    assert np.moveaxis(image, 1, -1).flags.c_contiguous


def test_demonstrations_come_in_the_order_of_their_numbers(write_file) -> None:
    names = ["demo_10", "demo_2", "demo_0", "demo_100"]
    demonstrations = Demonstrations.read(write_file([4, 5, 6, 7], names=names), "can")
    assert demonstrations.names == ["demo_0", "demo_2", "demo_10", "demo_100"]
    assert demonstrations.lengths.tolist() == [6, 5, 4, 7]


def test_masks_and_limits_choose_demonstrations(write_file) -> None:
    masks = {"train": ["demo_10", "demo_2", "demo_1"], "valid": ["demo_0"]}
    path = write_file([4] * 4, names=["demo_0", "demo_1", "demo_2", "demo_10"], masks=masks)
    assert Demonstrations.read(path, "can", filter_key="train").names == ["demo_1", "demo_2", "demo_10"]
    assert Demonstrations.read(path, "can", filter_key="valid").names == ["demo_0"]
    two = Demonstrations.read(path, "can", filter_key="train", max_demonstrations=2)
    assert two.names == ["demo_1", "demo_2"]
    assert len(Demonstrations.read(path, "can", max_demonstrations=99)) == 4
    with pytest.raises(ConfigError, match="max_demonstrations is 0"):
        Demonstrations.read(path, "can", max_demonstrations=0)


def test_what_robomimics_own_files_hold_besides_is_no_hindrance(write_file) -> None:
    """Version 1.5 adds action dictionaries and site poses, 1.4.1 has rewards, dones and next_obs."""
    path = write_file([6, 7])
    with h5py.File(path, "a") as file:
        for name in ("demo_0", "demo_1"):
            group = file["data"][name]
            length = group.attrs["num_samples"]
            group["dones"], group["rewards"] = np.zeros(length, np.int64), np.zeros(length)
            group["next_obs/object"] = group["obs/object"][:]
            group["action_dict/abs_pos"] = np.zeros((length, 3))
            group["obs/robot0_eef_quat_site"] = np.zeros((length, 4), np.float32)
            # The relative pose of the very first observation is zero in robosuite 1.5: no unit quaternion.
            group["obs/object"][0, 7:] = 0
    assert Demonstrations.read(path, "can").lengths.tolist() == [6, 7]


def test_steps_of_a_demonstration(write_file) -> None:
    demonstrations = Demonstrations.read(write_file([4, 6]), "can")
    assert [demonstrations.steps(0), demonstrations.steps(1)] == [slice(0, 4), slice(4, 10)]
    for index in (-1, 2):
        with pytest.raises(IndexError):
            demonstrations.steps(index)


# ---------------------------------------------------------------- files that are refused

Break = Callable[[h5py.File], None]


def replace(key: str, values: np.ndarray) -> Break:
    def change(file: h5py.File) -> None:
        del file[f"data/demo_1/{key}"]
        file[f"data/demo_1/{key}"] = values

    return change


def put(key: str, index: tuple[int, ...], value: float) -> Break:
    def change(file: h5py.File) -> None:
        file[f"data/demo_1/{key}"][index] = value

    return change


def remove(key: str) -> Break:
    def change(file: h5py.File) -> None:
        del file[key]

    return change


def attribute(group: str, name: str, value: object) -> Break:
    def change(file: h5py.File) -> None:
        if value is None:
            del file[group].attrs[name]
        else:
            file[group].attrs[name] = value

    return change


def link(key: str, target: h5py.ExternalLink | h5py.SoftLink) -> Break:
    def change(file: h5py.File) -> None:
        del file[key]
        file[key] = target

    return change


def external_storage(file: h5py.File) -> None:
    del file["data/demo_1/actions"]
    secret = Path(file.filename).with_name("secret.bin")
    secret.write_bytes(np.zeros((5, 7)).tobytes())
    file["data/demo_1"].create_dataset(
        "actions", (5, 7), np.float64, external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
    )


def virtual_dataset(file: h5py.File) -> None:
    del file["data/demo_1/obs/object"]
    layout = h5py.VirtualLayout((5, 14), np.float64)
    layout[:] = h5py.VirtualSource("elsewhere.hdf5", "values", (5, 14))
    file["data/demo_1/obs"].create_virtual_dataset("object", layout)


def group_instead(file: h5py.File) -> None:
    del file["data/demo_1/actions"]
    file.create_group("data/demo_1/actions")


def no_demonstrations(file: h5py.File) -> None:
    for name in list(file["data"]):
        file.move(f"data/{name}", f"data/episode_{name[-1]}")


BROKEN_LOW_DIM: dict[str, tuple[Break, str]] = {
    "no data": (remove("data"), "data is missing; .*robomimic's layout"),
    "data is a dataset": (
        lambda file: (file.move("data", "old"), file.create_dataset("data", data=[1])),
        "data is not a group",
    ),
    "no demonstrations": (no_demonstrations, r"has no demonstrations in data/"),
    "no env_args": (attribute("data", "env_args", None), "data.env_args is missing"),
    "env_args not JSON": (attribute("data", "env_args", "{env"), r"data.env_args must be JSON .*Expecting"),
    "env_args a list": (attribute("data", "env_args", "[1]"), "data.env_args must be JSON"),
    "env_args a number": (attribute("data", "env_args", 3), "data.env_args must be JSON"),
    "another task": (
        attribute("data", "env_args", '{"env_name": "NutAssemblySquare"}'),
        "holds demonstrations of NutAssemblySquare; the task 'can' needs PickPlaceCan",
    ),
    "no obs": (remove("data/demo_1/obs"), "demo_1/obs is missing; .*dataset_states_to_obs"),
    "no key": (remove("data/demo_1/obs/object"), "demo_1/obs/object is missing"),
    "no actions": (remove("data/demo_1/actions"), "demo_1/actions is missing"),
    "actions a group": (group_instead, "demo_1/actions is not a dataset"),
    "demonstration a dataset": (
        lambda file: (remove("data/demo_1")(file), file.create_dataset("data/demo_1", data=[1])),
        "demo_1 is not a group",
    ),
    "no num_samples": (attribute("data/demo_1", "num_samples", None), "demo_1 has no attribute num_samples"),
    "num_samples text": (
        attribute("data/demo_1", "num_samples", "many"),
        "demo_1.num_samples must be a whole number",
    ),
    "num_samples too large": (
        attribute("data/demo_1", "num_samples", 6),
        "demo_1/actions has 5 steps, but the demonstration's num_samples is 6",
    ),
    "zero length": (attribute("data/demo_1", "num_samples", 0), "demo_1 has 0 steps"),
    "negative length": (attribute("data/demo_1", "num_samples", -3), "demo_1 has -3 steps"),
    "short key": (
        replace("obs/robot0_eef_pos", np.zeros((4, 3))),
        "demo_1/obs/robot0_eef_pos has 4 steps, but the demonstration's num_samples is 5",
    ),
    "wide key": (
        replace("obs/object", np.zeros((5, 10))),
        r"demo_1/obs/object has shape \(5, 10\); it must be \(5, 14\)",
    ),
    "absolute actions": (
        replace("actions", np.zeros((5, 10))),
        r"demo_1/actions has shape \(5, 10\); it must be \(5, 7\): actions are delta actions",
    ),
    "flat actions": (replace("actions", np.zeros(35)), r"demo_1/actions has shape \(35,\)"),
    "empty dataset": (replace("actions", h5py.Empty("f8")), "demo_1/actions has shape None"),
    "integer key": (
        replace("obs/object", np.zeros((5, 14), int)),
        "demo_1/obs/object has dtype int64; low-dim observations are floating point",
    ),
    "text actions": (
        replace("actions", np.full((5, 7), b"0.1")),
        r"demo_1/actions has dtype \|S3",
    ),
    "NaN action": (put("actions", (2, 6), np.nan), r"demo_1/actions\[2, 6\] is nan; values must be finite"),
    "infinite observation": (put("obs/object", (4, 0), -np.inf), r"demo_1/obs/object\[4, 0\] is -inf"),
    "beyond float32": (put("obs/object", (4, 0), 1e300), r"demo_1/obs/object\[4, 0\] is inf"),
    "one observation more": (
        replace("obs/object", np.zeros((6, 14))),
        "demo_1/obs/object has 6 steps, one more than the 5 actions: .*drop its last step",
    ),
    "robosuite's name": (
        lambda file: file.move("data/demo_1/obs/object", "data/demo_1/obs/object-state"),
        "demo_1/obs/object is missing; its object-state is robosuite's name for it: rename it to object",
    ),
    "action a little too large": (put("actions", (3, 0), 1.000002), r"actions\[3, 0\] is 1.00000203; delta"),
    "action too large": (
        put("actions", (3, 0), 1.25),
        r"demo_1/actions\[3, 0\] is 1.25; delta actions must lie in \[-1, 1\]",
    ),
    "quaternion not unit": (
        put("obs/robot0_eef_quat", (1,), np.array([0.5, 0, 0, 0])),
        r"demo_1/obs/robot0_eef_quat\[1\] has length 0.5; a quaternion must have length 1",
    ),
    "quaternion a little off": (
        put("obs/robot0_eef_quat", (1,), np.array([1.002, 0, 0, 0])),
        r"demo_1/obs/robot0_eef_quat\[1\] has length 1.002",
    ),
    "external link": (
        link("data/demo_1/actions", h5py.ExternalLink("/etc/passwd", "/x")),
        "demo_1/actions is a link to /etc/passwd:/x; links are not followed",
    ),
    "external link of data": (
        link("data", h5py.ExternalLink("other.hdf5", "/data")),
        "data is a link to other.hdf5:/data",
    ),
    "soft link": (
        link("data/demo_1/obs", h5py.SoftLink("/data/demo_0/obs")),
        "demo_1/obs is a link to :/data/demo_0/obs",
    ),
    "external storage": (external_storage, "demo_1/actions keeps its values in other files"),
    "virtual dataset": (virtual_dataset, "demo_1/obs/object keeps its values in other files"),
}


def refused(path: Path, message: str, **arguments: object) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        Demonstrations.read(path, "can", **arguments)
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    assert re.search("[;:] .", line), "it must also say what to do"


@pytest.mark.parametrize("case", BROKEN_LOW_DIM)
def test_a_broken_file_is_refused(write_file, case: str) -> None:
    path = write_file([12, 5, 20])
    change, message = BROKEN_LOW_DIM[case]
    with h5py.File(path, "a") as file:
        change(file)
    refused(path, message)


BROKEN_IMAGES: dict[str, tuple[Break, str]] = {
    "no camera": (
        remove("data/demo_1/obs/agentview_image"),
        "demo_1/obs/agentview_image is missing; collect with --observation image",
    ),
    "float images": (
        replace("obs/agentview_image", np.zeros((2, 84, 84, 3), np.float32)),
        "demo_1/obs/agentview_image has dtype float32; images are uint8",
    ),
    "channels first": (
        replace("obs/agentview_image", np.zeros((2, 3, 84, 84), np.uint8)),
        r"has shape \(2, 3, 84, 84\); it must be \(2, 84, 84, 3\): images have their channels last",
    ),
    "wide integers": (
        replace("obs/agentview_image", np.zeros((2, 84, 84, 3), np.uint16)),
        "demo_1/obs/agentview_image has dtype uint16",
    ),
}


@pytest.mark.parametrize("case", BROKEN_IMAGES)
def test_a_file_with_broken_images_is_refused(write_file, case: str) -> None:
    path = write_file([3, 2], images=True)
    change, message = BROKEN_IMAGES[case]
    with h5py.File(path, "a") as file:
        change(file)
    refused(path, message, observation="image")


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"train": ["demo_0"]}, "no filter key 'valid'; it has train"),
        ({}, "no filter key 'valid'; it has no masks"),
        ({"valid": ["demo_0", "demo_7"]}, r"mask/valid names demo_7, which is not in the file \(it has 3"),
        ({"valid": []}, "mask/valid names no demonstrations"),
    ],
)
def test_masks_that_choose_nothing_are_refused(write_file, masks: dict, message: str) -> None:
    refused(write_file(masks=masks), message, filter_key="valid")


def test_what_is_held_out_is_not_trained_on(write_file) -> None:
    masks = {"train": ["demo_0", "demo_1"], "valid": ["demo_2"]}
    masks |= {"better": ["demo_1", "demo_2"], "better_train": ["demo_1"], "better_valid": ["demo_2"]}
    path = write_file(masks=masks)
    train, valid = read_split(path, "can", max_demonstrations=1)
    assert (train.names, valid.names) == (["demo_0"], ["demo_2"])
    train, valid = read_split(path, "can", train_mask="better_train", valid_mask="better_valid")
    assert (train.names, valid.names) == (["demo_1"], ["demo_2"])
    with pytest.raises(
        DatasetError, match=r"mask/better and mask/valid share 1 .*demo_2.*better_train --valid"
    ):
        read_split(path, "can", train_mask="better")
    with pytest.raises(DatasetError, match=r"share 2 .*demo_0: .*ddpm-edu data split"):
        read_split(path, "can", valid_mask="train")
    refused(write_file(masks={"train": ["demo_1"] * 2}), "mask/train names demo_1 twice", filter_key="train")


def test_a_mask_of_numbers_is_refused(write_file) -> None:
    path = write_file()
    with h5py.File(path, "a") as file:
        file["mask/valid"], file["mask/train"] = 3.0, [1, 2]
    refused(path, "mask/valid must be a list of names", filter_key="valid")
    refused(path, "mask/train names 1, which is not in the file", filter_key="train")


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    path = tmp_path / "none.hdf5"
    command = f"ddpm-edu collect --task can --observation image --out {path}"
    refused(path, f"does not exist; make it with: {re.escape(command)}", observation="image")


def test_what_is_not_hdf5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.hdf5"
    path.write_text("demonstrations")
    refused(path, "is not an HDF5 file")
    path.write_bytes(b"")
    refused(path, "HDF5")
    refused(tmp_path, "is not a file")


def test_a_truncated_file_is_refused(write_file) -> None:
    path = write_file()
    os.truncate(path, path.stat().st_size // 2)
    refused(path, r"is truncated \(.*\); copy or download it again")


def test_damaged_bytes_are_refused(write_file) -> None:
    path = write_file([200], compression="gzip")
    with h5py.File(path) as file:
        chunk = file["data/demo_0/obs/object"].id.get_chunk_info(0)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * 64)
    refused(path, "demo_0/obs/object cannot be read")


def test_a_file_that_is_being_written_is_refused(write_file) -> None:
    path = write_file()
    with h5py.File(path, "a"):
        # HDF5 shares an open file within a process; its lock shows to others only.
        code = f"from ddpm_edu.data.demonstrations import Demonstrations as D; D.read({str(path)!r}, 'can')"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "is being written by another process; wait" in result.stderr.splitlines()[-1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_refused(write_file) -> None:
    path = write_file()
    path.chmod(0)
    refused(path, "may not be read")


def test_more_than_the_machine_holds_is_refused_before_it_is_read(write_file) -> None:
    path = write_file([3])
    claimed = 10**13
    with h5py.File(path, "a") as file:
        group = file["data/demo_0"]
        group.attrs["num_samples"] = claimed
        for key in ("actions", "obs/object", "obs/robot0_eef_pos", "obs/robot0_eef_quat"):
            width = group[key].shape[1]
            del group[key]
            group.create_dataset(key, (claimed, width), np.float64, chunks=(100, width))
        del group["obs/robot0_gripper_qpos"]
        group.create_dataset("obs/robot0_gripper_qpos", (claimed, 2), np.float64, chunks=(100, 2))
    refused(path, r"demo_0/actions declares .* GiB, of which 0\.0 MiB are stored")
    with pytest.raises(DatasetError, match=r"needs 1024\.0 GiB of memory and .* GiB are free"):
        validation.check_memory(path, 2**40)


def test_all_that_is_checked_here_is_within_its_tolerance(write_file) -> None:
    path = write_file([5, 5])
    with h5py.File(path, "a") as file:
        file["data/demo_1/actions"][0] = 1 + validation.ACTION_TOLERANCE / 2
        file["data/demo_1/obs/robot0_eef_quat"][0] = [1 + validation.QUATERNION_TOLERANCE / 2, 0, 0, 0]
    assert len(Demonstrations.read(path, "can")) == 2
