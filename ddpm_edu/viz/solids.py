"""The bodies of a simulator's model as few triangles, for a page that draws them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddpm_edu.third_party import import_mujoco

if TYPE_CHECKING:
    import mujoco

VISUAL_GROUP = 1
"""Of robosuite's geoms: those that are looked at."""
CELL, PER_SIZE = 0.005, 1 / 60
"""Vertices nearer to each other than about so many metres, or parts of their mesh's size, become one."""
ROUND = 24
"""Corners of a cylinder."""


@dataclass(frozen=True)
class Solid:
    """One colour's part of a body.

    Attributes:
        body: its name in the model.
        color: red, green, blue in [0, 1].
        vertices: (V, 3) in the body's frame, metres.
        faces: (F, 3) rows of `vertices`, counter-clockwise from outside.
    """

    body: str
    color: tuple[float, float, float]
    vertices: np.ndarray
    faces: np.ndarray


def solids(model: mujoco.MjModel, without: tuple[str, ...] = (), cell: float = CELL) -> list[Solid]:
    """What is seen of a robosuite model's bodies; the world's own walls and floor are left out.

    Args:
        model: with the meshes and textures that are looked at.
        without: beginnings of names of bodies to leave out.
        cell: metres; meshes are made coarser by as much, larger ones by more.
    """
    merged: dict[tuple[str, tuple[float, float, float]], list[tuple[np.ndarray, np.ndarray]]] = {}
    for geom in range(model.ngeom):
        body = model.body(model.geom_bodyid[geom]).name
        seen = model.geom_group[geom] == VISUAL_GROUP and model.geom_bodyid[geom] != 0
        color = _color(model, geom)
        if not seen or body.startswith(without) or color[3] < 1:
            continue
        shape = _shape(model, geom, cell)
        if shape is None or not len(shape[1]):  # screws that are smaller than a cell
            continue
        vertices, faces = shape
        vertices = vertices @ _matrix(model.geom_quat[geom]).T + model.geom_pos[geom]
        merged.setdefault((body, color[:3]), []).append((vertices, faces))
    return [Solid(*key, *_joined(pieces)) for key, pieces in merged.items()]


def coarser(vertices: np.ndarray, faces: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Draws all vertices of a cube of space together into their mean, and drops what has no area left.

    Args:
        vertices: (V, 3).
        faces: (F, 3) rows of `vertices`.
        cell: edge of the cubes.

    Returns:
        Vertices and faces, fewer of both.
    """
    cells = np.round((vertices - vertices.min(axis=0)) / cell).astype(np.int64)
    _, of = np.unique(_number(cells), return_inverse=True)
    count = np.bincount(of)
    means = np.stack([np.bincount(of, vertices[:, axis]) / count for axis in range(3)], axis=1)
    faces = of[faces]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    # The same three vertices may be left of several faces: one of each turn is enough.
    first = np.argmin(faces, axis=1)[:, None]
    faces = faces[np.arange(len(faces))[:, None], (first + np.arange(3)) % 3]
    faces = faces[np.unique(_number(faces), return_index=True)[1]]
    kept, faces = np.unique(faces, return_inverse=True)
    return means[kept], faces.reshape(-1, 3)


def _number(rows: np.ndarray) -> np.ndarray:
    """One number for each row (N, 3) of numbers from 0 on: the same for the same row, and sooner compared."""
    base = rows.max(initial=0) + 1
    return (rows[:, 0] * base + rows[:, 1]) * base + rows[:, 2]


def _joined(pieces: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in pieces)])
    faces = [faces + start for (_, faces), start in zip(pieces, starts, strict=False)]
    return np.concatenate([vertices for vertices, _ in pieces]), np.concatenate(faces)


def _shape(model: mujoco.MjModel, geom: int, cell: float) -> tuple[np.ndarray, np.ndarray] | None:
    kinds = import_mujoco().mjtGeom
    kind, size = model.geom_type[geom], model.geom_size[geom]
    if kind == kinds.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        face, faces = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
        vertices = model.mesh_vert[first : first + count].astype(np.float64)
        cell = max(cell, PER_SIZE * np.ptp(vertices, axis=0).max())
        return coarser(vertices, model.mesh_face[face : face + faces], cell)
    if kind == kinds.mjGEOM_BOX:
        return _joined(list(_sides(size)))
    if kind == kinds.mjGEOM_CYLINDER:
        return _joined(list(_cylinder(size[0], size[1])))
    return None


def _sides(half: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Six sides with corners of their own, so that edges stay sharp."""
    corners = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], dtype=np.float64)
    for axis in range(3):
        for sign in (1, -1):
            turned = np.roll(corners * [1, 1, sign], axis + 1, axis=1)
            faces = np.array([[0, 1, 2], [0, 2, 3]])
            yield turned * half, faces if sign > 0 else faces[:, ::-1]


def _cylinder(radius: float, half: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    angles = np.arange(ROUND) * 2 * np.pi / ROUND
    ring = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(ROUND, half)], axis=1)
    here = np.arange(ROUND)
    after = (here + 1) % ROUND
    mantle = np.concatenate([ring, ring * [1, 1, -1]])
    down = np.stack([here + ROUND, after + ROUND, after], axis=1)
    yield mantle, np.concatenate([down, np.stack([here + ROUND, after, here], axis=1)])
    lid = np.stack([np.zeros(ROUND - 2, dtype=int), here[1:-1], here[2:]], axis=1)
    yield ring, lid
    yield ring * [1, 1, -1], lid[:, ::-1]


def _color(model: mujoco.MjModel, geom: int) -> tuple[float, float, float, float]:
    """The geom's own, or its material's; of a texture, the mean."""
    material = model.geom_matid[geom]
    if material < 0:
        return tuple(round(float(value), 3) for value in model.geom_rgba[geom])
    color = model.mat_rgba[material].astype(np.float64)
    textures = [index for index in model.mat_texid[material] if index >= 0]
    if textures:
        texture = textures[0]
        first, channels = model.tex_adr[texture], model.tex_nchannel[texture]
        size = model.tex_height[texture] * model.tex_width[texture] * channels
        pixels = model.tex_data[first : first + size].reshape(-1, channels)
        color[:3] *= pixels[:, :3].mean(axis=0) / 255
    return tuple(round(float(value), 3) for value in color)


def _matrix(quaternion: np.ndarray) -> np.ndarray:
    matrix = np.zeros(9)
    import_mujoco().mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
