import os
import subprocess
import sys

import pytest

from ddpm_edu import threads

LIBGOMP_SPEAKS = os.environ | {"OMP_DISPLAY_ENV": "VERBOSE"}


def spins(**chosen: str) -> str:
    """What PyTorch's libgomp says that it took, in a process that imports ours first."""
    others = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in LIBGOMP_SPEAKS.items() if name not in others} | chosen
    said = subprocess.run(
        [sys.executable, "-c", "import ddpm_edu, torch"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    if "GOMP_SPINCOUNT" not in said:
        pytest.skip("this PyTorch has another OpenMP")
    return said.partition("GOMP_SPINCOUNT = '")[2].partition("'")[0]


def test_threads_sleep_when_they_wait_long() -> None:
    assert spins() == threads.SPINS


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [("GOMP_SPINCOUNT", "123456", "123456"), ("OMP_WAIT_POLICY", "PASSIVE", "0")],
)
def test_what_a_user_chose_stays(name: str, value: str, taken: str) -> None:
    assert spins(**{name: value}) == taken
