"""Imports go down only: a room that imports from above stands in the wrong place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "ddpm_edu"

# From the ground up; CONTRIBUTING.md draws the same picture. Rooms on one floor do not import each other.
FLOORS = (
    {"errors", "machine", "renderers", "threads"},
    {"registry", "files", "third_party", "text", "patience"},
    {"settings"},
    {"tasks", "horizons"},
    {"paths", "diffusion", "denoisers", "data"},
    {"observation"},
    {"config", "policy_inputs", "cpu"},
    {"presets", "conditioning"},
    {"policy"},
    {"factory"},
    {"training", "simulation"},
    {"viz", "reference"},
    {"course", "reporting"},
    {"commands", "doctor"},
    {"cli"},
    {"__main__"},
)
FLOOR_OF = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(path: Path) -> Iterator[tuple[str, int]]:
    """Every room of the package that a module imports, also inside functions, with the line.

    What only a type checker reads does not count: a part may name the type of the whole.
    """
    tree = ast.parse(path.read_text(), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "ddpm_edu":
            names = [f"ddpm_edu.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; name the room in full"
            names = [node.module or ""]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            # `from ddpm_edu import __version__` reaches no room.
            if package == "ddpm_edu" and rest and not rest.startswith("__"):
                yield rest.split(".")[0], node.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    room = room_of(path)
    assert room in FLOOR_OF, f"{room} has no floor: place it in FLOORS and in CONTRIBUTING.md"
    for other, line in imported_rooms(path):
        assert other in FLOOR_OF, f"{path.name}:{line} imports ddpm_edu.{other}, which has no floor"
        assert other == room or FLOOR_OF[other] < FLOOR_OF[room], (
            f"{path.relative_to(PACKAGE)}:{line}: {room} (floor {FLOOR_OF[room]}) imports {other} "
            f"(floor {FLOOR_OF[other]})"
        )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_short_enough_to_read_in_a_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_every_floor_is_inhabited() -> None:
    gone = {
        room for room in FLOOR_OF if not (PACKAGE / room).is_dir() and not (PACKAGE / f"{room}.py").exists()
    }
    assert not gone, f"{gone} stand in FLOORS but not in the package"


def test_a_rooms_tests_stand_in_the_folder_of_its_name() -> None:
    """CONTRIBUTING.md says so; these look at more than one room."""
    across = {"browser", "examples", "extensions"}
    folders = {path.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")}
    assert folders, "no test was found"
    assert not folders - across - set(FLOOR_OF), "folders in tests/ that are named after no room"
