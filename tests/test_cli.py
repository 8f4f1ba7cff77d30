"""The command line: quick to answer, one line for what a user can mend."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ddpm_edu import cli, doctor, paths
from ddpm_edu.config import PolicyConfig
from ddpm_edu.errors import DatasetError

EXECUTABLE = str(Path(sys.executable).with_name("ddpm-edu"))


def ddpm_edu(*arguments: str, **options) -> subprocess.CompletedProcess:
    options = {"capture_output": True, "text": True, "timeout": 120, "stdin": subprocess.DEVNULL} | options
    return subprocess.run([EXECUTABLE, *arguments], **options)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable], None]:
    """Makes a function the command `probe`."""

    def register(function: Callable) -> None:
        monkeypatch.setattr(cli, "probe", function, raising=False)
        monkeypatch.setitem(cli.COMMANDS, "probe", cli.Command("ddpm_edu.cli", "probe", "For this test."))

    return register


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_answers_within_a_second_without_heavy_libraries(option: str) -> None:
    began = time.perf_counter()
    answer = ddpm_edu(option)
    elapsed = time.perf_counter() - began
    assert answer.returncode == 0
    assert answer.stdout.startswith("ddpm-edu 0." if option == "--version" else "usage: ddpm-edu")
    assert answer.stderr == ""
    assert elapsed < 1.0


def test_help_names_every_command_and_every_command_has_help() -> None:
    overview = ddpm_edu("--help").stdout
    for name, command in cli.COMMANDS.items():
        assert f"  {name} " in overview
        assert command.summary in overview
    assert "--json" in ddpm_edu("doctor", "--help").stdout


def test_unknown_command_is_one_line() -> None:
    answer = ddpm_edu("trian")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("error: unknown command 'trian'; did you mean train? the commands are ")


def test_a_group_of_commands_lists_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "--help"]) == 0
    said = capsys.readouterr().out
    assert "  data split " in said
    assert "  train " not in said
    assert cli.main(["data", "insp", "x.hdf5"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: unknown command 'data insp'; did you mean data inspect? the commands are ")
    assert said.endswith("see ddpm-edu data --help\n")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_names_the_option_that_it_has_not(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*name.split(), "--xyzzy", "3"]) == 2
    said = capsys.readouterr().err
    option = "--help-all" if name == "train" else "--help"
    assert said == f"error: ddpm-edu {name} has no option --xyzzy; ddpm-edu {name} {option} lists all\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_help_of_train_begins_with_an_example_and_what_matters(encoding: str) -> None:
    """Also with the defaults of what stands beside it, and whatever tyro draws around the options."""
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    short = ddpm_edu("train", "--help", "--task", "square", env=environment).stdout
    assert len(short.splitlines()) < 45
    assert "\nfor example: ddpm-edu train --task can" in short
    assert "\n  --task {can,lift,square}\n      Name of the task. (default: square)\n" in short
    more = int(re.search(r"(\d+) more options: ddpm-edu train --help-all", short).group(1))
    whole = ddpm_edu("train", "--help-all", env=environment).stdout
    assert more > 40
    assert "--cond-predict-scale" in whole
    assert "--cond-predict-scale" not in short


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("--lr", "--learning-rate?"),
        ("--lr=1e-3", "--learning-rate?"),
        ("--learning_rat", "--learning-rate?"),
        ("--bs", "--batch-size or --beta-schedule?"),
        ("--dir", "--run-dir?"),
    ],
)
def test_the_nearest_option_is_named(asked: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", asked, "3"]) == 2
    option = asked.partition("=")[0]
    expected = (
        f"error: ddpm-edu train has no option {option}; did you mean {meant} ddpm-edu train --help-all "
    )
    assert capsys.readouterr().err == f"{expected}lists all\n"


@pytest.mark.parametrize("options", [["--task", "nope"], ["--steps", "many"], ["--denoiser"]])
def test_the_help_that_is_named_is_the_commands(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *options]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ddpm-edu train --help" in said


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_unknown_option_is_one_line(encoding: str) -> None:
    answer = ddpm_edu("doctor", "--jsn", env=os.environ | {"PYTHONIOENCODING": encoding})
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert answer.stderr == (
        "error: ddpm-edu doctor has no option --jsn; did you mean --json? ddpm-edu doctor --help lists all\n"
    )
    answer = ddpm_edu("doctor", "--json", "again", env=os.environ | {"PYTHONIOENCODING": encoding})
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "--" * 3 not in answer.stderr


def test_arguments_are_typed(command: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    received = []
    command(lambda: None)

    def probe(policy: PolicyConfig, episodes: int = 50) -> int:
        received.append((policy.horizon, episodes))
        return 0

    command(probe)
    assert cli.main(["probe", "--policy.horizon", "32", "--episodes", "7"]) == 0
    assert received == [(32, 7)]
    assert cli.main(["probe", "--episodes", "seven"]) == 2
    assert capsys.readouterr().err.startswith("error: Error parsing --episodes")


def test_impossible_configuration_is_one_line_with_its_numbers(
    command: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe(policy: PolicyConfig) -> None:
        raise AssertionError("the command must not run")

    command(probe)
    code = cli.main(["probe", "--policy.horizon", "4", "--policy.n-action-steps", "4"])
    said = capsys.readouterr().err
    assert code == 2
    assert said.count("\n") == 1
    assert "2 - 1 + 4 = 5 exceeds horizon 4" in said


def test_user_error_is_one_line_and_debug_shows_the_traceback(
    command: Callable, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe() -> None:
        raise DatasetError("can.hdf5: demo_3\n  has no actions")

    command(probe)
    assert cli.main(["probe"]) == 2
    assert capsys.readouterr().err == "error: can.hdf5: demo_3 has no actions\n"
    with pytest.raises(DatasetError):
        cli.main(["--debug", "probe"])
    monkeypatch.setenv("DDPM_EDU_DEBUG", "1")
    with pytest.raises(DatasetError):
        cli.main(["probe"])


def test_what_a_file_is_named_does_not_move_the_terminal(
    command: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "demo_\x1b[2J\x9b8m\r\u202e\udcff"

    def probe(fail: bool = False) -> None:
        if fail:
            raise DatasetError(f"{name} is damaged")
        print(f"{name}\nTa = 8 · é")
        print(f"\r\x1b[A50% {name.replace(chr(13), '')}", end="\n", file=sys.stderr)

    command(probe)
    assert cli.main(["probe"]) == 0
    said = capsys.readouterr()
    assert said.out == "demo_\\x1b[2J\\x9b8m\\r\\u202e\\udcff\nTa = 8 · é\n"
    assert said.err == "\r\x1b[A50% demo_\\x1b[2J\\x9b8m\\u202e\\udcff\n"
    assert cli.main(["probe", "--fail"]) == 2
    assert capsys.readouterr().err == "error: demo_\\x1b[2J\\x9b8m \\u202e\\udcff is damaged\n"


def test_a_defect_of_ours_keeps_its_traceback(command: Callable) -> None:
    def probe() -> None:
        raise KeyError("obs")

    command(probe)
    with pytest.raises(KeyError):
        cli.main(["probe"])


def test_control_c_is_one_line(command: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    def probe() -> None:
        raise KeyboardInterrupt

    command(probe)
    assert cli.main(["probe"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_command_decides_its_exit_code(command: Callable) -> None:
    def probe() -> int:
        return 2

    command(probe)
    assert cli.main(["probe"]) == 2


def test_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        answer = ddpm_edu("--help", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: the disk is full")
    assert answer.stderr.count("\n") == 1


def test_a_reader_that_leaves_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    answer = ddpm_edu("--help", stdout=writing, stderr=subprocess.PIPE, capture_output=False)
    os.close(writing)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_missing_permission_names_the_file(command: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    def probe() -> None:
        # Not provoked: to root, nothing that every machine has is forbidden.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "runs/can/log.jsonl")

    command(probe)
    assert cli.main(["probe"]) == 2
    expected = (
        "error: runs/can/log.jsonl: Permission denied; choose another place or change its permissions\n"
    )
    assert capsys.readouterr().err == expected


def test_missing_package_is_one_line(command: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    def probe() -> None:
        import a_package_that_nobody_wrote  # noqa: F401

    command(probe)
    assert cli.main(["probe"]) == 2
    expected = "error: the package 'a_package_that_nobody_wrote' is not installed; run scripts/setup.sh\n"
    assert capsys.readouterr().err == expected


@pytest.mark.slow
def test_doctor_reports_this_machine() -> None:
    answer = ddpm_edu("doctor", "--json")
    report = json.loads(answer.stdout)
    status = {check["name"]: check["status"] for check in report["checks"]}
    assert {"python", "torch", "disk", "cores", "gpu", "data can low_dim"} <= set(status)
    # Without them the simulator's tests cannot pass, so a machine that tests has them.
    assert status["simulator"] == status["renderer"] == "ok"
    missing = [check for check in report["checks"] if check["status"] == "missing"]
    assert answer.returncode == (2 if missing else 0)
    assert all(check["mend"] for check in missing)
    assert answer.stderr == ""


def test_doctor_prints_what_is_wrong_and_ends_with_what_matters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [
        doctor.Check("python", "ok", "CPython 3.11.7"),
        doctor.Check("numpy", "ok", "1.26.4"),
        doctor.Check("disk", "missing", "1 GB free", "5 GB", "delete what can go"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda: iter(checks))
    assert cli.main(["doctor"]) == 2
    said = capsys.readouterr().out
    assert said.startswith("missing  disk")
    assert "numpy" not in said
    assert (
        "\n2 of 3 things are as they should be, among them:\n  python CPython 3.11.7\n1 missing: run" in said
    )
    assert cli.main(["doctor", "--verbose"]) == 2
    assert "ok       numpy" in capsys.readouterr().out


@pytest.mark.slow
def test_doctor_names_the_renderer_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "disable")
    answer = ddpm_edu("doctor", "--json")
    assert answer.returncode == 2
    (renderer,) = [check for check in json.loads(answer.stdout)["checks"] if check["name"] == "renderer"]
    assert renderer["status"] == "missing"
    assert renderer["mend"] == "unset MUJOCO_GL"


def test_doctor_says_what_is_wrong_with_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "can_low_dim.hdf5").write_text("version https://git-lfs.github.com/spec/v1")
    monkeypatch.setattr(paths, "DATA", tmp_path)
    by_name = {check.name: check for check in doctor._data()}
    assert by_name["data can low_dim"].status == by_name["data square image"].status == "missing"
    assert "can_low_dim.hdf5" in by_name["data can low_dim"].found
    assert by_name["data square image"].found == "not there"
    assert all(check.mend for check in by_name.values())
    assert not [name for name in by_name if "lift" in name]  # ships none, so none is missing
