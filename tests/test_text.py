"""What a file may say to a terminal, and what a shell reads of a command in a message."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ddpm_edu import paths
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import UserError
from ddpm_edu.reporting.cards import _find_rollout
from ddpm_edu.text import for_markdown, for_terminal, shell_line
from ddpm_edu.training.checkpoint import find_checkpoint


def test_nothing_but_printable_letters_and_line_breaks_reach_a_terminal() -> None:
    assert for_terminal("Ta = 8 · é\nü") == "Ta = 8 · é\nü"
    assert for_terminal("a\x1b[2Jb\r\t\x9b\u202e\udcff") == r"a\x1b[2Jb\r\t\x9b\u202e\udcff"


def test_text_in_markdown_is_one_line_without_markup() -> None:
    text = for_markdown("<b>|`a`\n[x](y) \\*\x1b")
    assert text == "&#60;b&#62;&#124;&#96;a&#96; &#91;x&#93;(y) &#92;&#42;&#92;x1b"
    assert for_markdown("data/can_low_dim.hdf5, 2.1 GHz (R) @ 2") == "data/can_low_dim.hdf5, 2.1 GHz (R) @ 2"


def test_a_shell_reads_a_commands_words_back() -> None:
    words = ["ddpm-edu", "rollout", "my \"run's", "--episodes", 10]
    assert shlex.split(shell_line(words)) == [str(word) for word in words]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda folder: find_checkpoint(folder), ["ddpm-edu", "train", "--run-dir"]),
        (lambda folder: _find_rollout(folder), ["ddpm-edu", "rollout"]),
        (
            lambda folder: paths.shipped_demonstrations("can", "image"),
            ["ddpm-edu", "collect", "--task", "can", "--observation", "image", "--out"],
        ),
        (
            lambda folder: Demonstrations.read(folder / "can.hdf5", "can"),
            ["ddpm-edu", "collect", "--task", "can", "--out"],
        ),
    ],
)
def test_a_command_in_a_message_can_be_pasted(tmp_path: Path, monkeypatch, call, words: list[str]) -> None:
    folder = tmp_path / "my run's"
    folder.mkdir()
    monkeypatch.setattr(paths, "DATA", folder)
    with pytest.raises(UserError) as caught:
        call(folder)
    command = str(caught.value).partition("with: ")[2].partition(", or")[0]
    said = shlex.split(command)
    assert said[: len(words)] == words
    assert Path(said[len(words)]).is_relative_to(folder)
