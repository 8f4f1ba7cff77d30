"""A contact sheet for each kind of file: with images, with observations, with actions alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from official_layout import write_official

from ddpm_edu.errors import ConfigError
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.viz.contact_sheet import contact_sheet


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write_official(shipped_demonstrations("can"), tmp_path / "raw.hdf5", demonstrations=(0,), raw=True)


def test_pictures_of_the_file_are_on_the_sheet(tmp_path: Path) -> None:
    contact_sheet(shipped_demonstrations("can", "image"), tmp_path / "sheet.png")
    sheet = imageio.imread(tmp_path / "sheet.png")
    assert sheet.shape[1] == 1280  # 8 inches at 160 dots
    colours = np.unique(sheet[..., :3].reshape(-1, 3), axis=0)
    assert len(colours) > 1000  # photographs, not lines
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


@pytest.mark.parametrize("kind", ["paths", "actions"])
def test_files_without_images_are_drawn(tmp_path: Path, raw: Path, kind: str) -> None:
    path = raw if kind == "actions" else shipped_demonstrations("square")
    contact_sheet(path, tmp_path / "sheet.png")
    sheet = imageio.imread(tmp_path / "sheet.png")[..., :3].astype(int)
    blue = (sheet[..., 2] - sheet[..., 0]) > 40
    assert 0.002 < blue.mean() < 0.3


def test_only_a_contact_sheet_is_replaced(tmp_path):
    own = tmp_path / "own.hdf5"
    shutil.copyfile(shipped_demonstrations("can"), own)
    before = own.read_bytes()
    with pytest.raises(ConfigError, match="is no contact sheet of ddpm-edu; give another name"):
        contact_sheet(own, own)
    assert own.read_bytes() == before
    for _ in range(2):
        contact_sheet(own, tmp_path / "sheet.png")
