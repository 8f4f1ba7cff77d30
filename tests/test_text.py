"""What a file may say to a terminal."""

from __future__ import annotations

import shlex

from ddpm_edu.text import for_markdown, for_terminal, shell_line


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
