"""A model's bodies as triangles that a page draws."""

from __future__ import annotations

import numpy as np

from ddpm_edu.third_party import import_mujoco
from ddpm_edu.viz.solids import Solid, coarser, solids

SCENE = """<mujoco>
  <asset><mesh name="lump" vertex="0 0 0  .1 0 0  0 .1 0  0 0 .1  .0001 0 0"/></asset><worldbody>
  <geom type="box" size="1 1 1" group="1"/>
  <body name="box" pos="5 0 0"><geom type="box" size=".1 .2 .3" pos="1 0 0" quat="0.70710678 0 0 0.70710678"
    group="1" rgba="1 0 0 1" mass="1"/><geom type="box" size="9 9 9" group="0" mass="1"/></body>
  <body name="post"><geom type="cylinder" size=".5 1" group="1" rgba="0 1 0 1" mass="1"/></body>
  <body name="ghost"><geom type="box" size="1 1 1" group="1" rgba="1 1 1 .3" mass="1"/></body>
  <body name="lump"><geom type="mesh" mesh="lump" group="1" mass="1"/></body>
</worldbody></mujoco>"""


def volume(solid: Solid) -> float:
    """Positive where every face is counter-clockwise from outside, and closed."""
    a, b, c = (solid.vertices[solid.faces[:, corner]] for corner in range(3))
    return float(np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6)


def test_bodies_keep_their_place_size_and_outside() -> None:
    found = {
        solid.body: solid for solid in solids(import_mujoco().MjModel.from_xml_string(SCENE), cell=0.002)
    }
    assert set(found) == {"box", "post", "lump"}, "no walls, no ghosts, nothing that is only touched"
    box = found["box"]
    np.testing.assert_allclose(np.ptp(box.vertices, axis=0), [0.4, 0.2, 0.6], atol=1e-6)
    np.testing.assert_allclose(box.vertices.mean(axis=0), [1, 0, 0], atol=1e-6)
    assert box.color == (1, 0, 0)
    np.testing.assert_allclose(volume(box), 0.048, rtol=1e-6)
    np.testing.assert_allclose(volume(found["post"]), 2 * np.pi * 0.25, rtol=0.02)
    assert len(found["lump"].vertices) == 4, "two vertices a tenth of a millimetre apart are one"
    np.testing.assert_allclose(volume(found["lump"]), 0.001 / 6, rtol=0.01)
    assert {solid.body for solid in solids(import_mujoco().MjModel.from_xml_string(SCENE), ("po", "lu"))} == {
        "box"
    }


def test_coarser_keeps_a_sphere_a_closed_sphere() -> None:
    """Nothing that is left has no area, and nothing stands there twice."""
    u, v = np.meshgrid(np.arange(60), np.arange(60), indexing="ij")
    a, b = np.pi * u.ravel() / 59, 2 * np.pi * v.ravel() / 60
    ball = np.stack([np.sin(a) * np.cos(b), np.sin(a) * np.sin(b), np.cos(a)], axis=1)
    here, beside = (u * 60 + v)[:-1].ravel(), (u * 60 + (v + 1) % 60)[:-1].ravel()
    faces = np.concatenate(
        [np.stack([here, here + 60, beside + 60], axis=1), np.stack([here, beside + 60, beside], axis=1)]
    )
    vertices, left = coarser(ball, faces, 0.2)
    assert len(vertices) < len(ball) / 8
    assert np.abs(np.linalg.norm(vertices, axis=1) - 1).max() < 0.06
    np.testing.assert_allclose(volume(Solid("ball", (0, 0, 0), vertices, left)), 4 / 3 * np.pi, rtol=0.05)
    assert (np.diff(np.sort(left, axis=1), axis=1) > 0).all()
    assert len(np.unique(left, axis=0)) == len(left)
