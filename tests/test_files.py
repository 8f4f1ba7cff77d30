"""One writer at a time, with real processes that are killed, and files that are whole or not there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ddpm_edu.errors import BusyError
from ddpm_edu.files import (
    _exchanged_at_once,
    only_writer,
    partial_name,
    remove_unfinished,
    write_atomically,
)
from ddpm_edu.paths import shipped_demonstrations

HOLD = """
import sys
from ddpm_edu.files import only_writer
with only_writer(sys.argv[1]):
    print("holding", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock of `path` until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "holding\n"
    return process


def test_the_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.hdf5"
    first = holder(path)
    (link := tmp_path / "link.hdf5").symlink_to(path)
    for name in (path, link):
        with pytest.raises(BusyError) as caught, only_writer(name):
            pytest.fail("two writers")
        assert f"{path} is being written by process {first.pid} on " in str(caught.value)
        assert "(-c " in str(caught.value)
    first.communicate("")
    assert list(path.parent.iterdir()) == []
    with only_writer(path), pytest.raises(BusyError, match=f"process {os.getpid()} "), only_writer(path):
        pytest.fail("two writers")


def test_a_killed_writer_lets_go_and_what_it_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    first = holder(path)
    partial_name(path).write_text("half")
    (tmp_path / "a.hdf5.0123456789abcdef.partial").write_text("a download, which goes on")
    first.send_signal(signal.SIGKILL)
    first.wait()
    with only_writer(path):
        assert sorted(os.listdir(tmp_path)) == ["a.hdf5.0123456789abcdef.partial", "a.hdf5.lock"]
    assert os.listdir(tmp_path) == ["a.hdf5.0123456789abcdef.partial"]


def test_a_stopped_writer_keeps_its_lock(tmp_path: Path) -> None:
    first = holder(tmp_path / "a")
    first.send_signal(signal.SIGSTOP)
    with pytest.raises(BusyError), only_writer(tmp_path / "a"):
        pytest.fail("two writers")
    first.kill()
    first.wait()


@pytest.mark.parametrize("kind", ["text", "link", "fifo", "folder"])
def test_what_is_not_a_lock_stays(tmp_path: Path, kind: str) -> None:
    lock, own = tmp_path / "a.lock", tmp_path / "own"
    own.write_text("mine")
    {
        "text": lambda: lock.write_text("mine"),
        "link": lambda: lock.symlink_to(own),
        "fifo": lambda: os.mkfifo(lock),
        "folder": lock.mkdir,
    }[kind]()
    with pytest.raises(BusyError, match=r"a\.lock is wanted as a lock, and is something else"):
        only_writer(tmp_path / "a").__enter__()
    assert lock.lstat()
    assert own.read_text() == "mine"
    assert kind != "text" or lock.read_text() == "mine"


RACE = """
import sys, time
from pathlib import Path
from ddpm_edu.errors import BusyError
from ddpm_edu.files import only_writer
folder = Path(sys.argv[1])
for _ in range(150):
    try:
        with only_writer(folder / "a"):
            (folder / "inside").open("x").close()
            time.sleep(0.0005)
            (folder / "inside").unlink()
    except BusyError:
        pass
"""


def test_in_a_race_there_is_never_a_second_one(tmp_path: Path) -> None:
    racers = [subprocess.Popen([sys.executable, "-c", RACE, tmp_path]) for _ in range(4)]
    assert [racer.wait() for racer in racers] == [0] * 4
    assert os.listdir(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from ddpm_edu import files
files._exchanged_at_once = lambda one, other: False  # as on a network's file system
rename, left = Path.rename, int(sys.argv[2])
def killed_after(path, target):
    global left
    rename(path, target)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
Path.rename = killed_after
with files.write_folder(sys.argv[1]) as folder:
    (folder / "policy.json").write_text("new")
"""


@pytest.mark.parametrize(("renames", "content"), [(1, "old"), (2, "new"), (3, "new")])
def test_a_kill_between_two_renames_leaves_the_old_folder_or_the_new(
    tmp_path: Path, renames: int, content: str
) -> None:
    best = tmp_path / "best"
    best.mkdir()
    (best / "policy.json").write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, best, str(renames)], check=False)
    assert done.returncode == -signal.SIGKILL
    (tmp_path / "own.set-aside").write_text("mine")
    remove_unfinished(tmp_path)
    assert (best / "policy.json").read_text() == content
    assert sorted(os.listdir(tmp_path)) == ["best", "own.set-aside"]


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="the system has no such call")
def test_two_folders_change_places_at_once(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert _exchanged_at_once(os.fsencode(tmp_path / "one"), os.fsencode(tmp_path / "other"))
    assert os.listdir(tmp_path / "one") == ["other"]
    assert not _exchanged_at_once(os.fsencode(tmp_path / "none"), os.fsencode(tmp_path / "one"))


WINDOWS = """
import os, signal, sys
sys.modules["fcntl"] = sys.modules["resource"] = None
for module, names in (
    (os, "O_NOFOLLOW O_NONBLOCK pread pwrite fork killpg sched_getaffinity"),
    (signal, "SIGHUP SIGKILL SIGXCPU pthread_sigmask"),
):
    for name in names.split():
        delattr(module, name)
from ddpm_edu import cli
from ddpm_edu.files import only_writer
from ddpm_edu.training.stop import StopRequest
with only_writer(sys.argv[1]), StopRequest() as stop_requested:
    assert not stop_requested()
for words in (["inspect", sys.argv[1]], ["split", sys.argv[1], "--overwrite"]):
    if code := cli.main(["data", *words]):
        sys.exit(code)
"""


def test_without_what_only_unix_has_files_are_looked_at_and_divided(tmp_path: Path) -> None:
    path = tmp_path / "can.hdf5"
    shutil.copy(shipped_demonstrations("can"), path)
    done = subprocess.run([sys.executable, "-c", WINDOWS, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mask/valid" in done.stdout
    assert os.listdir(tmp_path) == ["can.hdf5"]


def test_two_writers_without_a_lock_do_not_mix(tmp_path: Path) -> None:
    with write_atomically(tmp_path / "a") as one, write_atomically(tmp_path / "a") as other:
        one.write(b"one")
        other.write(b"other")
    assert (tmp_path / "a").read_bytes() == b"one"  # the last to end, and whole
    assert os.listdir(tmp_path) == ["a"]
