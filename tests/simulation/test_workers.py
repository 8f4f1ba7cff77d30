"""Workers that are really stopped and killed."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from worker_duties import always_killed, refusing, signalled_once

from ddpm_edu.errors import ConfigError, SimulatorError, UserError
from ddpm_edu.simulation.workers import Workers


def test_what_is_lost_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DDPM_EDU_PATIENCE", "10")
    items = ["A", "SIGKILL", "B", "SIGSTOP", "C"]
    with Workers(2, signalled_once, (tmp_path,)) as pool:
        assert sorted(pool.work(items)) == sorted((item, item.lower()) for item in items)
    said = capfd.readouterr().err
    assert "of 2 died (SIGKILL); it is replaced, and its work done again (SIGKILL)" in said
    assert "of 2 gave no sign for 1" in said
    assert "(DDPM_EDU_PATIENCE sets the limit); it is replaced, and its work done again (SIGSTOP)" in said


def test_after_repeated_losses_it_stops_in_one_line() -> None:
    with (
        Workers(1, always_killed, (), "piece {}".format) as pool,
        pytest.raises(
            SimulatorError, match=r"died \(SIGKILL\), and piece 7 was lost 3 times; if memory is short"
        ),
    ):
        list(pool.work([7]))


@pytest.mark.parametrize(("item", "error"), [("user", UserError), ("disk", OSError)])
def test_errors_arrive_as_they_are(item: str, error: type[Exception]) -> None:
    with Workers(1, refusing, ()) as pool, pytest.raises(error) as caught:
        list(pool.work([item]))
    assert getattr(caught.value, "errno", errno.ENOSPC) == errno.ENOSPC


@pytest.mark.parametrize("text", ["soon", "0", "nan", "inf"])
def test_a_limit_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPM_EDU_PATIENCE", text)
    with pytest.raises(ConfigError, match="a positive number of seconds is wanted"):
        Workers(1, always_killed, ())
