"""A wheel: built from a copy of the sources, put into an empty folder, and used far from any clone."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "import sys, setuptools.build_meta as backend; print(getattr(backend, sys.argv[1])(sys.argv[2]))"
SHIPPED = """
from ddpm_edu.paths import shipped_demonstrations, shipped_policy
for look in (lambda: shipped_demonstrations("can"), lambda: shipped_policy("can_unet")):
    try:
        look()
    except ValueError as error:
        print(error)
"""


def build(sources: Path, kind: str, out: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, kind, str(out)], cwd=sources, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source distribution."""
    sources, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    shutil.copytree(ROOT / "ddpm_edu", sources / "ddpm_edu", ignore=shutil.ignore_patterns("__pycache__"))
    (sources / "data").symlink_to(ROOT / "data")
    return build(sources, "build_wheel", out), build(sources, "build_sdist", out)


class Installed:
    """The wheel in a folder of its own, and a home that has nothing in it."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.site, self.home, self.here = folder / "site", folder / "home", folder / "empty"
        for made in (self.site, self.home, self.here):
            made.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.site)
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("DDPM_EDU")
        } | {"PYTHONPATH": str(self.site), "XDG_DATA_HOME": str(self.home)}
        self.data = self.home / "ddpm_edu"

    def run(self, *words: str, code: int = 0) -> str:
        """What the wheel's Python says, which never points into the installation."""
        done = subprocess.run(
            [sys.executable, *words], cwd=self.here, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
        assert str(self.site) not in done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def installed(built: tuple[Path, Path], tmp_path: Path) -> Installed:
    return Installed(built[0], tmp_path)


@pytest.fixture
def server() -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=ROOT / "data")) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_it_is_small_and_complete(built: tuple[Path, Path]) -> None:
    wheel, sources = built
    assert wheel.stat().st_size < 2e6
    assert sources.stat().st_size < 2e6
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ddpm_edu").rglob("*")}
    wanted = {name for name in there if name.endswith((".py", ".j2"))} | {"ddpm_edu/data/shipped.json"}
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())


def test_a_wheel_from_the_source_distribution_is_the_same(built: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, sources = built
    shutil.unpack_archive(sources, tmp_path)
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    again = build(unpacked, "build_wheel", tmp_path)

    def contents(path: Path) -> dict[str, int]:
        return {info.filename: info.CRC for info in zipfile.ZipFile(path).infolist()}

    assert contents(again) == contents(wheel)


def test_what_is_missing_is_named_with_the_command_that_brings_it(installed: Installed) -> None:
    says = installed.run("-c", SHIPPED)
    assert f"{installed.data}/can_low_dim.hdf5 is missing; fetch it with: ddpm-edu data fetch" in says
    assert "fetch it with: ddpm-edu data fetch policies/can_unet" in says
    assert "brings no notebooks" in installed.run("-m", "ddpm_edu", "course", "build", code=2)
    assert "--source" in installed.run("-m", "ddpm_edu", "data", "fetch", code=2)


def test_files_come_by_the_network_and_are_checked(installed: Installed, server: str) -> None:
    fetch = ("-m", "ddpm_edu", "data", "fetch", "policies/can_transformer")
    assert installed.run(*fetch, "--source", server).count(": fetched\n") == 2
    assert installed.run(*fetch).count(": was there already\n") == 2  # nothing is asked for
    weights = installed.data / "policies/can_transformer/ema.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert installed.run(*fetch, "--source", server).count(": fetched\n") == 1
    assert weights.read_bytes() == (ROOT / "data/policies/can_transformer/ema.safetensors").read_bytes()

    other = installed.here / "other"
    (other / "policies/can_unet").mkdir(parents=True)
    (other / "policies/can_unet/policy.json").write_text("{}")
    one = ("-m", "ddpm_edu", "data", "fetch", "policies/can_unet/policy.json", "--source")
    assert "is not this version's file" in installed.run(*one, str(other), code=2)
    assert not list(installed.data.glob("policies/can_unet/*"))
    assert "File not found; check --source" in installed.run(*one, f"{server}/nowhere", code=2)
    assert "there is no 'can_vnet'" in installed.run("-m", "ddpm_edu", "data", "fetch", "can_vnet", code=2)
