from __future__ import annotations

from collections.abc import Iterator

import pytest

from ddpm_edu.simulation.env import ManipulationEnv, make_env


@pytest.fixture(scope="session")
def can() -> Iterator[ManipulationEnv]:
    env = make_env("can")
    yield env
    env.close()


@pytest.fixture(scope="session")
def square() -> Iterator[ManipulationEnv]:
    env = make_env("square")
    yield env
    env.close()


@pytest.fixture(scope="session")
def lift() -> Iterator[ManipulationEnv]:
    env = make_env("lift")
    yield env
    env.close()


@pytest.fixture(params=["can", "square"])
def env(request: pytest.FixtureRequest) -> ManipulationEnv:
    """Each task's environment, in whatever state the test before left it: nothing may depend on that."""
    return request.getfixturevalue(request.param)
