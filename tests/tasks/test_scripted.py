"""What scripted experts share."""

from __future__ import annotations

import numpy as np
import pytest

from ddpm_edu.tasks.scripted import rotation_of, wrap, yaw_of


@pytest.mark.parametrize("angle", np.linspace(-9, 9, 13))
def test_angles(angle: float) -> None:
    assert -np.pi <= wrap(angle) < np.pi
    assert np.isclose(np.exp(1j * wrap(angle)), np.exp(1j * angle))
    half = angle / 2
    assert yaw_of(np.array([0, 0, np.sin(half), np.cos(half)])) == pytest.approx(wrap(angle))


def test_rotation_of_equals_an_independent_implementation() -> None:
    from scipy.spatial.transform import Rotation

    for rotation in Rotation.random(20, random_state=0):
        np.testing.assert_allclose(rotation_of(rotation.as_quat()), rotation.as_matrix(), atol=1e-12)
