"""What every test run shares: one torch thread for each process; without a GPU its tests are skipped, and
Triton kernels are interpreted. Goldens are rewritten only on request."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Before torch is imported: several pytest-xdist processes share the cores, and results must not depend on how many.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TORCHINDUCTOR_COMPILE_THREADS"):
    os.environ.setdefault(_name, "1")

import torch  # noqa: E402

# Without a GPU, Triton kernels run in Triton's interpreter. It looks when a kernel is defined.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# The same examples in every run, so that a red run says something about the change; `make fuzz` looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """--update-goldens: pytest tests/passes tests/kernels/test_rules.py --update-goldens."""
    parser.addoption("--update-goldens", action="store_true", help="write tests/golden anew; read the diff")


@pytest.fixture
def short_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of a hundred tokens have far keys, as few of their values tell the spread."""
    from hyperrewrite.kernels import sampling
    from hyperrewrite.kernels.sampling import estimate, rows

    for module in (sampling, estimate, rows):
        monkeypatch.setattr(module, "REFERENCE", 16)


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether goldens are to be written."""
    return bool(request.config.getoption("--update-goldens", default=False))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` on a machine without a CUDA device."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
