"""What a file may say to a terminal."""

from __future__ import annotations

from ddpm_edu.text import for_terminal


def test_nothing_but_printable_letters_and_line_breaks_reach_a_terminal() -> None:
    assert for_terminal("Ta = 8 · é\nü") == "Ta = 8 · é\nü"
    assert for_terminal("a\x1b[2Jb\r\t\x9b\u202e\udcff") == r"a\x1b[2Jb\r\t\x9b\u202e\udcff"
