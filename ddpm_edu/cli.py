"""The command line: finds the command, reads its arguments, and says in one line what a user can mend."""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TextIO

from ddpm_edu.errors import UserError
from ddpm_edu.text import for_terminal

PROGRAM = "ddpm-edu"
USER_ERROR, INTERRUPTED = 2, 128 + signal.SIGINT


class Command(NamedTuple):
    """Where a command's function stands; its typed arguments are the command's options."""

    module: str
    function: str
    summary: str


# Modules are imported when their command is called: `ddpm-edu --help` must not wait for torch.
COMMANDS: dict[str, Command] = {
    "demo": Command("ddpm_edu.commands.demo", "demo", "Train on shipped demonstrations, roll out, report."),
    "train": Command("ddpm_edu.commands.train", "train", "Train a policy, or go on with a stopped run."),
    "see": Command("ddpm_edu.commands.see", "see", "Give a policy of the simulator's state eyes."),
    "practise": Command("ddpm_edu.commands.practise", "practise", "Train on what a policy's eyes tell."),
    "rollout": Command("ddpm_edu.commands.rollout", "rollout", "Let a policy act, and report how it went."),
    "show": Command("ddpm_edu.commands.show", "show", "Write an episode and its decisions as one HTML file."),
    "export": Command("ddpm_edu.commands.export", "export", "Write a policy's denoiser as an ONNX file."),
    "import": Command("ddpm_edu.commands.import_reference", "import_reference", "Import reference weights."),
    "collect": Command("ddpm_edu.commands.collect", "collect", "Let a scripted expert make demonstrations."),
    "data fetch": Command("ddpm_edu.commands.data", "fetch", "Bring what the repository ships, to a wheel."),
    "data download": Command("ddpm_edu.commands.data", "download", "Fetch robomimic's own demonstrations."),
    "data render": Command("ddpm_edu.commands.data", "render", "Add both cameras' pictures to a file."),
    "data split": Command("ddpm_edu.commands.data", "split", "Choose which demonstrations are held out."),
    "data inspect": Command("ddpm_edu.commands.data", "inspect", "Say what a file of demonstrations holds."),
    "course build": Command("ddpm_edu.commands.course", "build", "Make the student's notebooks."),
    "course site": Command("ddpm_edu.commands.course", "site", "Make the course's pages."),
    "results card": Command("ddpm_edu.commands.results", "card", "Keep what a run reached as a result card."),
    "doctor": Command("ddpm_edu.doctor", "doctor", "Check this machine; say how to mend what is missing."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: what follows `ddpm-edu` on the command line; by default this process's own.

    Returns:
        The exit code: 0, or a command's own; 2 where the user can mend something; 130 on Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = os.environ.get("DDPM_EDU_DEBUG", "0") not in ("", "0")
    while words and words[0] == "--debug":
        debug = bool(words.pop(0))
    with (
        contextlib.redirect_stdout(_Output(sys.stdout)),
        contextlib.redirect_stderr(_Output(sys.stderr, r"\r|\x1b\[A")),  # what progress bars move with
    ):
        return _answer(words, debug)


def _answer(words: list[str], debug: bool) -> int:
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        if debug:
            raise
        return _say("interrupted", INTERRUPTED)
    except Exception as error:
        line = _mendable(error)
        if debug or line is None:
            raise
        return _say(f"error: {line}", USER_ERROR)


def _mendable(error: Exception) -> str | None:
    """One line about an error that the user can mend; None for any other, which is a defect of ours."""
    if isinstance(error, UserError):
        return _one_line(str(error))
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("ddpm_edu"):
        from ddpm_edu.paths import INSTALL

        return f"the package {error.name!r} is not installed; run {INSTALL}"
    # h5py and safetensors wrap the system's error and keep only its text.
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "No space left on device" in str(error):
        _drop_output()
        place = f" while writing {error.filename}" if getattr(error, "filename", None) else ""
        return f"the disk is full{place}; free some space, then run the same command again"
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error) or _is_gpu_memory(error):
        return "there is not enough memory; free some, or take smaller settings, such as --batch-size"
    if (
        isinstance(error, OSError)
        and error.filename
        and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
    ):
        return f"{error.filename}: {error.strerror}; choose another place or change its permissions"
    return None


def _is_gpu_memory(error: Exception) -> bool:
    return type(error).__name__ == "OutOfMemoryError"  # torch's, which may not have been imported


class _Output:
    """Standard output or error: nobody has to read it to its end, and no name from a file moves the terminal.

    Work must not stop, half done, because `| head` has seen enough or the terminal was closed: from then on
    what is said is dropped. What is not printable is shown as its escape, but for line ends and what the
    pattern `passing` matches.
    """

    def __init__(self, stream: TextIO, passing: str = "(?!)"):
        self._stream, self._passing = stream, re.compile(f"({passing})")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def write(self, text: str) -> int:
        parts = self._passing.split(text)  # every second one matches
        parts[::2] = map(for_terminal, parts[::2])
        with self._dropping():
            self._stream.write("".join(parts))
        return len(text)

    @contextlib.contextmanager
    def letting_all_pass(self) -> Iterator[None]:
        """For text of our own: a help that has colours."""
        passing, self._passing = self._passing, re.compile("(.+)", re.DOTALL)
        try:
            yield
        finally:
            self._passing = passing

    def flush(self) -> None:
        with self._dropping():
            self._stream.flush()

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO, errno.ENXIO):
                raise
            _drop_output(self._stream)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        from ddpm_edu import __version__

        print(f"{PROGRAM} {__version__}")
        return 0
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return _call(name, words[length:])
    group = [name for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if group and words[1:2] in (["-h"], ["--help"]):
        print(_overview(group))
        return 0
    raise UserError(_no_command(words, group))


def _no_command(words: list[str], group: list[str]) -> str:
    from ddpm_edu.commands.nearest import nearest

    if group and len(words) == 1:
        return f"{words[0]!r} needs one of: {', '.join(group)}"
    asked = words[: 2 if group else 1]
    near = nearest("-".join(asked), [name.replace(" ", "-") for name in group or COMMANDS], 1)
    meant = f"did you mean {near[0].replace('-', ' ')}? " if near else ""
    help_of = f"{PROGRAM} {words[0]}" if group else PROGRAM
    return (
        f"unknown command {' '.join(asked)!r}; {meant}the commands are {', '.join(group or COMMANDS)}; "
        f"see {help_of} --help"
    )


def _call(name: str, options: list[str]) -> int:
    command = COMMANDS[name]
    function = getattr(importlib.import_module(command.module), command.function)
    program = f"{PROGRAM} {name}"
    if hasattr(function, "short_help"):
        if any(option in ("-h", "--help") for option in options):
            print(_short_help(function, program, options))
            return 0
        options = ["--help" if option == "--help-all" else option for option in options]
    code = _parsed(function, program, tuple(options))()
    return code if isinstance(code, int) else 0


def _parsed(function: Callable[..., Any], program: str, options: Sequence[str]) -> Callable[[], Any]:
    """The function with its arguments read from the options, or a refusal in one line."""
    with _refusals_in_one_line():
        if hasattr(function, "with_defaults"):  # the defaults of --help are those of the preset that is named
            function = function.with_defaults(options, program)
        try:
            return _bind(function, program, options)
        except SystemExit as stop:
            if stop.code in (0, None):
                raise  # --help has been printed
            _refuse_unknown_options(function, program, options)
            raise


def _bind(function: Callable[..., Any], program: str, options: Sequence[str]) -> Callable[[], Any]:
    """The function with its arguments read from the options, not yet called."""
    import tyro

    @functools.wraps(function)
    def bind(*arguments: Any, **named: Any) -> Callable[[], Any]:
        return functools.partial(function, *arguments, **named)

    with sys.stdout.letting_all_pass() if isinstance(sys.stdout, _Output) else contextlib.nullcontext():
        return tyro.cli(bind, prog=program, args=list(options))


def _short_help(function: Callable[..., Any], program: str, options: list[str]) -> str:
    from ddpm_edu.commands.short_help import shorten

    whole = io.StringIO()
    with contextlib.redirect_stdout(whole), contextlib.suppress(SystemExit), _refusals_in_one_line():
        _bind(function.with_defaults(options, program), program, options)
    return shorten(whole.getvalue(), program, *function.short_help)


def _refuse_unknown_options(function: Callable[..., Any], program: str, options: list[str]) -> None:
    """Names each option that the command does not have, and those that may have been meant."""
    from ddpm_edu.commands.nearest import unknown_options

    help_text = io.StringIO()
    with contextlib.redirect_stdout(help_text), contextlib.suppress(SystemExit):
        _bind(function, program, ["--help"])
    for option, near in unknown_options(options, help_text.getvalue()):
        meant = f"; did you mean {' or '.join(near)}?" if near else ";"
        lists = "--help-all" if hasattr(function, "short_help") else "--help"
        raise UserError(f"{program} has no option {option}{meant} {program} {lists} lists all")


@contextlib.contextmanager
def _refusals_in_one_line() -> Iterator[None]:
    """Turns the box that tyro draws around a refused option into a `UserError`."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit as stop:
        if stop.code in (0, None):
            raise  # --help has been printed
    else:
        return
    raise UserError(_unboxed(said.getvalue()))


def _unboxed(text: str) -> str:
    """What stands in the box, its paragraphs in one line. Without Unicode, tyro draws only rules."""
    lines = [line.strip("│ ") for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]
    lines = [line for line in lines if not line.startswith(("╭", "╰"))]
    paragraphs = [part.strip() for part in re.split(r"[─-]{5,}", " ".join(lines)) if part.strip()]
    title = 0 if "╭" in text else 1
    return "; ".join(paragraphs[title:]) or text


def _overview(names: Sequence[str] = tuple(COMMANDS)) -> str:
    width = max(map(len, names)) + 2
    lines = [f"  {name:<{width}}{COMMANDS[name].summary}" for name in names]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND [OPTIONS]        {PROGRAM} COMMAND --help lists the options",
            "",
            "Train diffusion policies for robot manipulation, and watch them act.",
            "",
            *lines,
            "",
            "  --version    print the version",
            "  --debug      before the command: show the full traceback of an error",
        ]
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _drop_output(stream: TextIO | None = None) -> None:
    """Lets nothing more reach standard output, so that Python's own flush at exit does not fail once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), (stream or sys.stdout).fileno())


def _say(line: str, code: int) -> int:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    print(line, file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
