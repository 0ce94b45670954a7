"""Tiles side by side: a thread for each tile, and each operator in one thread.

A tile is many small operators. Were each split over the processor's threads, they would wait for one another some
hundred times a tile; beside a busy program that takes ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

MOST = 8  # threads; with more they wait for Python's lock

Item = TypeVar("Item")


@contextmanager
def one_thread() -> Iterator[int]:
    """While open PyTorch's operators use one thread each; gives the number that they had, and gives it back."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield count
    finally:
        torch.set_num_threads(count)


def each(work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Do the work for all items, without gradients, in as many threads as PyTorch has; raises what the work raises."""

    def alone(item: Item) -> None:
        with torch.no_grad():  # of this thread
            work(item)

    with one_thread() as count:
        if count == 1:
            for item in items:
                alone(item)
            return
        with ThreadPoolExecutor(min(count, MOST)) as pool:
            for _ in pool.map(alone, items):
                pass
