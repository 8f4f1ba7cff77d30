"""`ddpm-edu doctor`: what this machine has, what is missing, and the one command that mends each thing."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ddpm_edu.errors import UserError
from ddpm_edu.machine import memory_bytes, usable_cores
from ddpm_edu.paths import IN_CLONE, INSTALL, REPOSITORY
from ddpm_edu.renderers import INSTALL as RENDERERS
from ddpm_edu.text import shell_line

WANTED_DISK_GB, WANTED_CORES, WANTED_MEMORY_GB = 5, 2, 4
PROBE_SECONDS = 180  # the very first import of robosuite compiles for tens of seconds


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        status: "ok"; "note" for what is worth knowing but not needed; "missing" for what has to be mended.
        found: what is there.
        wanted: what should be there, where that is not obvious.
        mend: the command that mends it; empty where nothing has to be.
    """

    name: str
    status: Literal["ok", "note", "missing"]
    found: str
    wanted: str = ""
    mend: str = ""


def doctor(json: bool = False, verbose: bool = False) -> int:
    """Check this machine; say what is wrong and how to mend it.

    Args:
        json: print one JSON object instead of lines for a reader.
        verbose: also name what is as it should be.
    """
    checks = []
    for check in examine():
        checks.append(check)
        if not json and (verbose or check.status != "ok"):
            print(_lines(check), flush=True)
    missing = sum(check.status == "missing" for check in checks)
    if json:
        print(_json(checks))
        return 2 if missing else 0
    fine = {check.name: check.found for check in checks if check.status == "ok"}
    matters = [f"{name} {fine[name]}" for name in _MATTERS if name in fine]
    print(f"\n{len(fine)} of {len(checks)} things are as they should be, among them:")
    print("\n".join(f"  {line}" for line in matters))
    if missing:
        place = f", from {REPOSITORY}" if IN_CLONE else ""
        print(f"{missing} missing: run the commands after 'mend'{place}")
    else:
        print("Everything that is needed is here." + ("" if verbose else "  (all of it: --verbose)"))
    return 2 if missing else 0


_MATTERS = ("python", "torch", "gpu", "cores", "memory", "simulator", "renderer")
"""What is named at the end."""


def examine() -> Iterator[Check]:
    """Every check, the quick ones first. What may crash or hang is tried in a process of its own."""
    torch_probe, simulator_probe = _Probe(_TORCH), _Probe(_SIMULATOR)
    yield _python()
    yield from _packages()
    yield _disk()
    yield from _processor()
    yield from _data()
    yield from _gpu(torch_probe)
    yield from _renderer(simulator_probe)


# -------------------------------------------------------------------------------- Python and packages


def _python() -> Check:
    from packaging.specifiers import SpecifierSet

    wanted = importlib.metadata.metadata("ddpm_edu")["Requires-Python"]
    found = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    if platform.python_version() in SpecifierSet(wanted):
        return Check("python", "ok", found, wanted)
    return Check(
        "python",
        "missing",
        found,
        wanted,
        f"PYTHON=/path/to/python3.11 {INSTALL}" if IN_CLONE else "use another Python",
    )


def _packages() -> Iterator[Check]:
    from packaging.requirements import Requirement

    for line in importlib.metadata.requires("ddpm_edu") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name, wanted = requirement.name, str(requirement.specifier)
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, "missing", "not installed", wanted, INSTALL)
            continue
        fits = requirement.specifier.contains(found, prereleases=True)
        yield Check(name, "ok" if fits else "missing", found, wanted, "" if fits else INSTALL)


# -------------------------------------------------------------------------------------------- Machine


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    found, wanted = f"{free:.1f} GB free in {Path.cwd()}", f"{WANTED_DISK_GB} GB"
    if free >= WANTED_DISK_GB:
        return Check("disk", "ok", found, wanted)
    return Check(
        "disk", "missing", found, wanted, "du -xh --max-depth=2 . | sort -h   # then delete what can go"
    )


def _processor() -> Iterator[Check]:
    cores = usable_cores()
    enough = cores >= WANTED_CORES
    yield Check("cores", "ok" if enough else "note", str(cores), f"{WANTED_CORES} or more")
    memory = memory_bytes() / 1e9
    enough = memory >= WANTED_MEMORY_GB
    found = f"{memory:.1f} GB" if memory else "the system does not say"
    yield Check("memory", "ok" if enough else "note", found, f"{WANTED_MEMORY_GB} GB or more")


def _gpu(probe: _Probe) -> Iterator[Check]:
    answer = probe.answer()
    if "error" in answer:
        yield Check("gpu", "missing", f"torch does not load: {answer['error']}", "", INSTALL)
    elif answer["devices"]:
        found = ", ".join(answer["devices"])
        yield Check("gpu", "ok", f"{found} (CUDA {answer['cuda']})")
    elif shutil.which("nvidia-smi") is None:
        yield Check("gpu", "ok", "none; everything runs on the CPU")
    else:
        why = "this torch is built for CPUs" if answer["cuda"] is None else "torch cannot use it"
        uv, pins = (".venv/bin/uv", "-c constraints.txt ") if IN_CLONE else ("uv", "")
        mend = f"{uv} pip install --torch-backend auto --reinstall {pins}torch torchvision"
        yield Check("gpu", "note", f"there is one, but {why}", mend=mend)


# ----------------------------------------------------------------------------------------------- Data


def _data() -> Iterator[Check]:
    from ddpm_edu.paths import DATA
    from ddpm_edu.tasks import TASKS

    for task, shipped in ((name, task.shipped) for name, task in TASKS.items()):
        for observation in shipped:
            name, path = f"data {task} {observation}", DATA / f"{task}_{observation}.hdf5"
            mend = f"git checkout -- data/{path.name}"
            if not IN_CLONE:
                mend = f"ddpm-edu data fetch {path.name}"
            elif not (REPOSITORY / ".git").exists():
                words = ["ddpm-edu", "collect", "--task", task, "--observation", observation, "--out", path]
                mend = shell_line(words)
            if not path.exists():
                yield Check(name, "missing", "not there", str(path), mend)
                continue
            try:
                from ddpm_edu.data.demonstrations import Demonstrations

                read = Demonstrations.read(path, task, observation)
            except (UserError, OSError, ImportError) as error:
                yield Check(name, "missing", " ".join(str(error).split()), "a readable file", mend)
                continue
            steps = len(read.action)
            yield Check(name, "ok", f"{len(read.names)} demonstrations, {steps} steps, {path.name}")


# ----------------------------------------------------------------------------------- Simulator, renderer


def _renderer(probe: _Probe) -> Iterator[Check]:
    answer = probe.answer()
    if "simulator" not in answer:
        yield Check("simulator", "missing", answer["error"], "", INSTALL)
        return
    yield Check("simulator", "ok", answer["simulator"])
    name = answer["renderer"]
    if "error" not in answer:
        drew = f"MUJOCO_GL={name} drew 84x84 pixels in {answer['milliseconds']:.0f} ms"
        instead = "".join(f"; {other} was tried first: {why}" for other, why in answer["refused"].items())
        yield Check("renderer", "note" if instead else "ok", drew + instead)
        return
    broken = f"MUJOCO_GL={name}: {answer['error']}"
    if os.environ.get("MUJOCO_GL") and "milliseconds" in _Probe(_SIMULATOR, MUJOCO_GL="").answer():
        yield Check("renderer", "missing", broken, "another one works", "unset MUJOCO_GL")
        return
    sudo = "" if not hasattr(os, "geteuid") or os.geteuid() == 0 else "sudo "
    mend = f"{sudo}apt-get install -y {RENDERERS['osmesa']} || {sudo}apt-get install -y {RENDERERS['egl']}"
    yield Check("renderer", "missing", broken, "osmesa or egl", mend)


_TORCH = """
import torch
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
answer.update(devices=names if torch.cuda.is_available() else [], cuda=torch.version.cuda)
"""

_SIMULATOR = """
import os, time
from ddpm_edu.simulation.env import make_env
from ddpm_edu.renderers import choose_renderer, refused
make_env("can").reset(seed=0)
answer.update(
    simulator="robosuite and MuJoCo run the Can task", renderer=choose_renderer(), refused=refused
)
environment = make_env("can", "image")
environment.reset(seed=0)
began = time.perf_counter()
picture = environment.step(environment.action_space.sample() * 0)[0]["agentview_image"]
answer["milliseconds"] = 1000 * (time.perf_counter() - began)
if picture.shape != (3, 84, 84) or picture.std() < 5:
    raise RuntimeError("the picture is empty")
"""


class _Probe:
    """Python code that runs in its own process from now on, and fills a dictionary `answer`."""

    def __init__(self, code: str, **environment: str) -> None:
        body = textwrap.indent(code.strip(), "    ")
        program = (
            f"import json\nanswer = {{}}\ntry:\n{body}\nexcept BaseException as error:\n"
            "    answer['error'] = ' '.join(f'{type(error).__name__}: {error}'.split())\n"
            "print('\\n' + json.dumps(answer), flush=True)\n"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def answer(self) -> dict[str, Any]:
        """What the code filled in; "error" holds why it could not finish."""
        try:
            said, complained = self._process.communicate(timeout=PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return {"error": f"no answer within {PROBE_SECONDS} s"}
        try:
            return json.loads(said.splitlines()[-1])
        except (IndexError, ValueError):
            last = (complained.strip().splitlines() or ["it said nothing"])[-1]
            return {"error": f"it ended with code {self._process.returncode}: {last}"}


# ---------------------------------------------------------------------------------------------- Report


def _lines(check: Check) -> str:
    wanted = f"   (wanted: {check.wanted})" if check.wanted else ""
    line = f"{check.status:<8} {check.name:<20} {check.found}{wanted}"
    return line + (f"\n{'':<8} {'':<20} mend: {check.mend}" if check.mend else "")


def _json(checks: list[Check]) -> str:
    versions = {"ddpm_edu": importlib.metadata.version("ddpm_edu"), "platform": platform.platform()}
    return json.dumps({**versions, "checks": [dataclasses.asdict(check) for check in checks]}, indent=2)
