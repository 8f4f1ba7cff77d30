"""The lists of dependencies agree with each other, and importing the package costs next to nothing."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import MatchSpec, Version, VersionSpec

import ddpm_edu
from ddpm_edu.threads import SPINS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PYTHONS = {"3.10": "3.10.13", "3.11": "3.11.2", "3.12": "3.12.1"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIRED = [Requirement(line) for part in (PROJECT["dependencies"], *EXTRAS.values()) for line in part]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
CONDA_SPECS = [MatchSpec(spec) for spec in CONDA["dependencies"] if isinstance(spec, str)]
HEAVY = {"torch", "numpy", "h5py", "mujoco", "robosuite", "robomimic", "diffusers", "matplotlib", "tyro"}


def conda_name(spec: MatchSpec) -> str:
    return re.split(r"[\[ ]", spec.to_canonical_string())[0]


def markers_of(python: str) -> dict[str, str]:
    """What pip sees on Linux with this version of CPython."""
    return {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "extra": "dev",
    }


def pins_for(python: str) -> dict[str, Requirement]:
    """The lines of constraints.txt that hold for a version of CPython, by package."""
    pins: dict[str, Requirement] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(markers_of(python)):
            name = canonicalize_name(pin.name)
            assert name not in pins, f"two pins for {name} on Python {python}"
            pins[name] = pin
    return pins


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS.keys())
def test_every_dependency_has_one_exact_version_within_its_range(python: str) -> None:
    pins = pins_for(python)
    for requirement in REQUIRED:
        if requirement.marker is not None and not requirement.marker.evaluate(markers_of(python)):
            continue
        (pin,) = pins[canonicalize_name(requirement.name)].specifier
        assert pin.operator == "==", pin
        assert requirement.specifier.contains(pin.version), f"{requirement} is pinned to {pin.version}"


def test_every_pin_is_exact() -> None:
    for python in PYTHONS.values():
        for pin in pins_for(python).values():
            assert [part.operator for part in pin.specifier] == ["=="], pin


def test_setup_takes_the_same_versions_each_with_its_digest() -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.txt").read_text())[1:]
    locked = [(Requirement(entry.partition(" \\\n")[0]), entry) for entry in entries]
    for pin, entry in locked:
        lines = entry.splitlines()[1:]
        assert lines, f"{pin} has no digest"
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines), pin
    for python in PYTHONS.values():
        held = {
            canonicalize_name(pin.name): pin.specifier
            for pin, _ in locked
            if pin.marker is None or pin.marker.evaluate(markers_of(python))
        }
        assert held == {name: pin.specifier for name, pin in pins_for(python).items()}, python


def test_no_command_of_ours_installs_a_file_without_a_digest() -> None:
    """What needs no digest: ours itself, which is here."""
    for name in ("scripts/setup.sh", "Makefile", ".ci/run", ".github/workflows/ci.yml"):
        script = re.sub(r"\\\n", " ", (ROOT / name).read_text())
        for command in re.findall(r"(?:-m pip|/uv\"? pip|\bpip) install\b[^\n;]*", script):
            hashed = "--require-hashes" in command or "-c $venv/requirements.txt" in command
            assert hashed or command.split()[-3:-1] == ["-e", "."], f"{name}: {command}"


def test_this_environment_has_the_versions_that_are_pinned() -> None:
    here = "{}.{}.{}".format(*sys.version_info[:3])
    wrong = []
    for name, pin in pins_for(here).items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # part of another build of torch
        if not pin.specifier.contains(installed, prereleases=True):
            wrong.append(f"{name} {installed}, pinned {pin.specifier}")
    assert not wrong, f"{wrong}; run scripts/setup.sh"


def test_conda_brings_only_what_pip_cannot() -> None:
    ours = {canonicalize_name(requirement.name) for requirement in REQUIRED}
    pinned = set().union(*(pins_for(python) for python in PYTHONS.values()))
    for spec in CONDA_SPECS:
        assert conda_name(spec) not in ours | pinned, (
            f"{spec} stands in pyproject.toml or constraints.txt too"
        )


def test_conda_installs_the_package_with_the_same_constraints() -> None:
    (pip,) = [part["pip"] for part in CONDA["dependencies"] if isinstance(part, dict)]
    (constraints,) = [line.split(maxsplit=1)[1] for line in pip if line.startswith("-c ")]
    (editable,) = [line.split(maxsplit=1)[1] for line in pip if line.startswith("-e ")]
    assert len(pip) == 2
    assert (ROOT / constraints).samefile(ROOT / "constraints.txt")
    setup = (ROOT / "scripts" / "setup.sh").read_text()
    (extras,) = re.findall(r"^extras=(\w+)$", setup, flags=re.MULTILINE)
    assert editable == f".[{extras}]", "conda and setup.sh install different extras"
    assert Requirement(f"ddpm_edu{editable.removeprefix('.')}").extras <= set(EXTRAS)


def test_setup_names_an_extra_that_it_has_not_before_it_begins() -> None:
    setup = ROOT / "scripts" / "setup.sh"
    (line,) = re.findall(r"^    ([a-z |]+)\) ;;$", setup.read_text(), flags=re.MULTILINE)
    assert {*line.split(" | "), "dev"} == set(EXTRAS)
    for wrong in ("sit", "--help"):
        done = subprocess.run(["sh", setup, wrong], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: there is no extra '{wrong}'; choose among: site browser export\n"


def test_conda_and_pip_accept_the_same_pythons() -> None:
    (python,) = [spec for spec in CONDA_SPECS if conda_name(spec) == "python"]
    conda, pip = VersionSpec(python.version), SpecifierSet(PROJECT["requires-python"])
    for version in (f"3.{minor}.{patch}" for minor in range(7, 16) for patch in (0, 4, 13)):
        assert conda.matches(Version(version)) == pip.contains(version), version
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert set(workflow["jobs"]["test"]["strategy"]["matrix"]["python"]) == set(PYTHONS)
    assert all(pip.contains(version) for version in PYTHONS.values())


def test_notebooks_threads_do_not_spin() -> None:
    """Their cells load torch before us, so that whoever makes the environment says it."""
    assert str(CONDA["variables"]["GOMP_SPINCOUNT"]) == SPINS
    if Path(sys.prefix, ".setup-done").exists():
        kernel = json.loads(Path(sys.prefix, "share/jupyter/kernels/python3/kernel.json").read_text())
        assert kernel["env"]["GOMP_SPINCOUNT"] == SPINS


def test_setup_says_in_one_line_that_python_is_missing() -> None:
    answer = subprocess.run(
        [ROOT / "scripts" / "setup.sh"],
        env=os.environ | {"PYTHON": "/usr/bin/false"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("error: no CPython 3.10, 3.11 or 3.12 found at PYTHON=/usr/bin/false")
    assert answer.stderr.count("\n") == 1


def test_uv_comes_to_a_python_that_is_too_new_for_the_rest() -> None:
    """Debian 13 has 3.13 only; pip installs nothing, without a word, of a line whose marker leaves it out."""
    script = (ROOT / "scripts/setup.sh").read_text()
    (locked,) = re.findall(r"^locked\(\) .*$", script, flags=re.MULTILINE)
    done = subprocess.run(
        ["sh", "-c", f"{locked}\nlocked uv"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, _, digests = done.stdout.partition("\n")
    uv = Requirement(first.removesuffix(" \\"))
    assert uv.marker is None
    assert f"{uv}" == f"uv{pins_for('3.12.1')['uv'].specifier}"
    assert "--hash=sha256:" in digests


@pytest.mark.parametrize("moved", [False, True])
def test_setup_remembers_python_and_build_of_torch_where_it_stands(tmp_path: Path, moved: bool) -> None:
    """`make train` after `PYTHON=... UV_TORCH_BACKEND=cpu make setup` made another environment."""
    script = (ROOT / "scripts/setup.sh").read_text()
    (remembered,) = re.findall(r"^remembered\(\) .*$", script, flags=re.MULTILINE)
    (backend,) = re.findall(r"^backend=.*$", script, flags=re.MULTILINE)
    (tmp_path / ".setup-choices").write_text(f"{tmp_path}\n/a path/python3.12\ncpu\n")
    root = "/elsewhere" if moved else str(tmp_path)
    code = f'set -eu\nvenv=.\n{remembered}\n{backend}\nprintf \'%s,%s\' "$(remembered 2)" "$backend"'

    def choices(**environment: str) -> str:
        environment = {"PATH": os.environ["PATH"], "root": root, **environment}
        return subprocess.run(
            ["sh", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert choices() == ("," if moved else "/a path/python3.12,cpu")
    assert choices(UV_TORCH_BACKEND="auto").endswith(",auto")
    assert choices(UV_TORCH_BACKEND="").endswith(",")


DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
DOCUMENTS += [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_is_one_page() -> None:
    assert (ROOT / "README.md").stat().st_size <= 9000


def test_the_moving_picture_is_small_and_moves() -> None:
    from PIL import Image

    (name,) = re.findall(r"\]\((\S+\.webp)\)", (ROOT / "README.md").read_text())
    assert (ROOT / name).stat().st_size <= 1.5e6
    with Image.open(ROOT / name) as picture:
        assert picture.n_frames > 20


def test_the_version_is_said_once_and_again() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_name_only_what_exists(document: str) -> None:
    from ddpm_edu.cli import COMMANDS

    text = (ROOT / document).read_text()
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    spoken = re.findall(r"`[^`]*`|^    .*$|^```[\s\S]*?^```", text, flags=re.MULTILINE)
    code = "\n".join(spoken)
    for target in re.findall(r"\bmake ([a-z]+)\b", code):
        assert target in {*targets, "git"}, f"{document}: make {target}"  # "apt-get install make git"
    for words in re.findall(r"ddpm-edu ((?:[a-z]+ ?)+)", code):
        assert any(f"{words.strip()} ".startswith(f"{name} ") for name in COMMANDS), (
            f"{document}: ddpm-edu {words}"
        )
    for path in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert ((ROOT / document).parent / path).exists(), f"{document} links to {path}"


def named_tests(text: str) -> list[tuple[str, str]]:
    """The tests that a document names, as module and function; "…" stands for the module before it."""
    named, module = [], ""
    for path, function in re.findall(r"(tests/[\w/]+\.py)|(?:…|\b)::(test_\w+)", text):
        module = path or module
        named.append((module, function))
    return named


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_name_tests_that_exist(document: str) -> None:
    for module, function in named_tests((ROOT / document).read_text()):
        assert (ROOT / module).is_file(), f"{document} names {module}"
        assert not function or f"def {function}(" in (ROOT / module).read_text(), f"{module}::{function}"


def test_names_of_tests_are_found_in_a_document() -> None:
    named = named_tests("`tests/a.py::test_one`, `…::test_two` | `tests/b/c.py` | `…::test_three`")
    assert named[1::2] == [("tests/a.py", "test_one"), ("tests/b/c.py", "")]
    assert named[2::2] == [("tests/a.py", "test_two"), ("tests/b/c.py", "test_three")]
    assert len(named_tests((ROOT / "docs" / "promises.md").read_text())) > 60


def test_import_is_quick_and_loads_nothing_heavy() -> None:
    def seconds(code: str) -> tuple[float, str]:
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return time.perf_counter() - began, done.stdout

    elapsed, modules = min(seconds("import ddpm_edu, sys; print(*sys.modules)") for _ in range(3))
    assert elapsed < 0.5
    assert not HEAVY & set(modules.split())


@pytest.mark.parametrize("name", ddpm_edu.__all__)
def test_public_names_load_when_used(name: str) -> None:
    assert getattr(ddpm_edu, name) is not None
    assert name in dir(ddpm_edu)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'DifusionPolicy'"):
        _ = ddpm_edu.DifusionPolicy


@pytest.mark.slow
@pytest.mark.parametrize("document", ["README.md", "docs/policies.md"])
def test_the_python_in_the_documents_runs(document: str) -> None:
    tours = re.findall(r"^```python\n([\s\S]*?)^```", (ROOT / document).read_text(), flags=re.MULTILINE)
    assert tours
    for tour in tours:
        done = subprocess.run(
            [sys.executable, "-c", tour], cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""


def test_other_machines_are_told_what_is_there() -> None:
    """Nobody has these machines here: at least, what their files name exists."""
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert "make setup" in container["onCreateCommand"]
    assert container["image"].rpartition(":")[2].partition("-")[0] in PYTHONS
    assert (ROOT / "binder/runtime.txt").read_text().strip().removeprefix("python-") in PYTHONS
    build = ROOT / "binder/postBuild"
    assert os.access(build, os.X_OK)
    assert re.findall(r"-e '\.\[(\w+)\]'", build.read_text()) == ["dev"]
    (job,) = yaml.safe_load((ROOT / ".github/workflows/machines.yml").read_text())["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == list(PYTHONS)
    paths = [word for step in job["steps"] for word in step.get("run", "").split() if "/" in word]
    assert paths
    assert all((ROOT / path).exists() for path in paths), paths
