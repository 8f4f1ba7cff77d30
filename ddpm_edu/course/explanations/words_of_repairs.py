"""Which words of a student's function are wrong, too much or missing, told from the function made right."""

from __future__ import annotations

import ast
import difflib
import io
import tokenize
from collections import Counter
from collections.abc import Sequence

from ddpm_edu.course.explanations.suspicions import Suspicion


def said(before: ast.FunctionDef, after: ast.FunctionDef) -> Suspicion:
    """Which words of which line are wrong, too much or missing."""
    old, new = (_lines(tree) for tree in (before, after))
    hint = "Everything else is as it should be. Why does that one matter?"
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    parts = [part for part in matcher.get_opcodes() if part[0] != "equal"]
    gone = [line for _, a, b, _, _ in parts for line in old[a:b]]
    come = [line for _, _, _, a, b in parts for line in new[a:b]]
    if sorted(line.strip() for line in gone) == sorted(line.strip() for line in come):
        moved = " and ".join(f"`{line.strip()}`" for line in gone[:2])
        where = "stands inside a loop, or outside, where it should not" if len(gone) == 1 else "stand wrongly"
        return Suspicion(f"Your line {moved} {where}: moved, all answers are right.", hint)
    if not come:
        return Suspicion(
            f"Your line `{gone[0].strip()}` is too much: without it all answers are right.", hint
        )
    if len(old) == len(new) and len(gone) == len(come):
        line, moved = gone[0].strip(), _moved(gone, come)
        if moved:
            return Suspicion(f"In your line {moved}: moved there, it makes all answers right.", hint)
        more = ", and in others," if len(gone) > 1 else ","
        return Suspicion(f"In your line `{_short(line)}`{more} {_words(line, come[0].strip())}", hint)
    return Suspicion(
        f"Your line `{gone[0].strip() if gone else old[-1].strip()}` stands wrongly: moved, all answers are "
        "right.",
        hint,
    )


def _moved(gone: Sequence[str], come: Sequence[str]) -> str:
    """The words that went from one of two lines to the other; empty if that is not what differs."""
    if len(gone) != 2:
        return ""
    old, new = ([Counter(word for word in _tokens(a) if word not in "()") for a in b] for b in (gone, come))
    lost, won = ([a - b for a, b in zip(*both, strict=True)] for both in ((old, new), (new, old)))
    for here, there in ((0, 1), (1, 0)):
        if lost[here] and not lost[there] and not won[here] and lost[here] == won[there]:
            lines = f"`{_short(gone[here].strip())}`", f"`{_short(gone[there].strip())}`"
            words = _joined([word for word in _tokens(gone[here]) if word in lost[here]])
            return f"{lines[0]}, `{words}` stands, and belongs in {lines[1]}"
    return ""


def _lines(tree: ast.FunctionDef) -> list[str]:
    return ast.unparse(tree).splitlines()[1:]


def _short(line: str) -> str:
    return line if len(line) <= 90 else f"{line[:87]}…"


def _words(old: str, new: str) -> str:
    """How two lines differ: the words of the first that are wrong, or those of the second that it lacks."""
    first, second = _tokens(old), _tokens(new)
    parts = [
        part
        for part in difflib.SequenceMatcher(a=first, b=second, autojunk=False).get_opcodes()
        if part[0] != "equal"
    ]
    gone = " … ".join(_joined(first[a:b]) for _, a, b, _, _ in parts if b > a)
    come = " … ".join(_joined(second[a:b]) for _, _, _, a, b in parts if b > a)
    bare = gone.strip("() …")
    exchanged = _exchanged(first, second)
    if exchanged:
        return f"{exchanged} are exchanged."
    if [word for word in first if word not in "()"] == [word for word in second if word not in "()"]:
        return f"a bracket stands wrongly: as `{_short(new)}` all answers are right."
    if sorted(word for word in first if word not in "()") == sorted(w for w in second if w not in "()"):
        return f"something stands at the wrong place: as `{_short(new)}` all answers are right."
    if not bare:
        return f"something is missing: with `{come}` in it all answers are right."
    if not come.strip("() …"):
        return f"`{gone}` is too much: without it all answers are right."
    if _is_number(gone) and _is_number(come) and float(gone) and float(come) / float(gone) in (10, 100):
        return f"`{gone}` is too small: were it much larger, all answers would be right."
    return f"`{gone}` is wrong: with `{come}` in its place all answers are right."


def _joined(words: Sequence[str]) -> str:
    """Words of a line, with blanks where two names would run into one."""
    text = ""
    for word in words:
        between = " " if text and (text[-1].isalnum() or text[-1] == "_") and word[:1].isalnum() else ""
        text += between + word
    return text


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _exchanged(first: Sequence[str], second: Sequence[str]) -> str:
    """Two words that stand in each other's places; empty if the lines differ in another way."""
    if len(first) != len(second):
        return ""
    pairs = {tuple(sorted(pair)) for pair in zip(first, second, strict=True) if pair[0] != pair[1]}
    both = sorted(first) == sorted(second) or sum(a != b for a, b in zip(first, second, strict=True)) > 1
    names = next(iter(pairs)) if len(pairs) == 1 and both else ()
    there = all(first.count(name) and second.count(name) for name in names)
    return f"`{names[0]}` and `{names[1]}`" if names and there else ""


def _tokens(line: str) -> list[str]:
    try:
        found = list(tokenize.generate_tokens(io.StringIO(line).readline))
    except (tokenize.TokenError, IndentationError):
        return list(line)
    return [one.string for one in found if one.string.strip()]
