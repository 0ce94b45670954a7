"""Goldens are rewritten only on request: pytest tests/passes --update-goldens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    """--update-goldens; known where this folder (or a file in it) is named on the command line."""
    parser.addoption("--update-goldens", action="store_true", help="write tests/golden anew; read the diff")


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether goldens are to be written."""
    return bool(request.config.getoption("--update-goldens", default=False))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order on every machine; Dynamo forgets what the test compiled."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch._dynamo.reset()
