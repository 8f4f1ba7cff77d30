"""`ddpm-edu course …`: the course's notebooks for students and instructors, and its pages."""

from __future__ import annotations

from pathlib import Path

import tyro


def build(
    notebooks: tyro.conf.Positional[tuple[Path, ...]] = (),
    out: Path = Path("student"),
    instructor: Path | None = None,
    nbgrader: Path | None = None,
    solutions: bool = True,
    force: bool = False,
) -> None:
    """Make the student's notebooks (stubs to fill in) and the instructor's (solved, with points).

    Notebooks and tables that were edited since they were built are kept, and named; others are renewed.

    Args:
        notebooks: the solved notebooks to build from; by default all of the course.
        out: folder for the student's notebooks.
        instructor: folder for the instructor's; by default "instructor" beside the student's.
        nbgrader: also write nbgrader's source/ASSIGNMENT/NOTEBOOK.ipynb into this folder, for
            `nbgrader generate_assignment`.
        solutions: a folded solution under each check of the student's notebooks.
        force: overwrite edited notebooks and tables too.
    """
    from ddpm_edu.course.build import build_course
    from ddpm_edu.paths import course_notebooks, stray_notebooks

    instructor = instructor or out.parent / "instructor"
    paths = list(notebooks) or course_notebooks()
    built = build_course(paths, out, instructor, nbgrader, solutions, force)
    exercises = sum(item.exercises for item in built if item.path.parent == out)
    print(
        f"{len(paths)} notebooks with {exercises} exercises: for students in {out}/, for you in {instructor}/"
    )
    for path in [] if notebooks else stray_notebooks():
        print(f"left out, for the course's notebooks are named NN_words.ipynb: {path}")
    for item in built:
        if item.kept:
            print(f"kept, for it was edited since it was built: {item.path} (--force overwrites it)")
    if nbgrader is not None:
        print(
            f"for nbgrader in {nbgrader}/source/; in {nbgrader}/, run: "
            "for name in $(ls source); do nbgrader generate_assignment $name; done"
        )


def site(notebooks: tyro.conf.Positional[tuple[Path, ...]] = (), out: Path = Path("site")) -> None:
    """Make the course's pages from the notebooks' committed outputs. Needs npm once, for four scripts.

    Args:
        notebooks: the notebooks to show; by default all of the course.
        out: folder for the pages; an older site there is replaced.
    """
    from ddpm_edu.course.site import build_site
    from ddpm_edu.paths import course_notebooks

    page = build_site(list(notebooks) or course_notebooks(), out)
    print(f"open {page} in a browser, or put {out}/ on any web server")
