"""Means of blocks of keys and values: more keys, which stand for those that are not read one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from .call import AttentionCall
from .tiling import block_of


def count_visible(key_mask: Tensor | None, call: AttentionCall, device: torch.device) -> Tensor:
    """Visible keys of each of m blocks, int16 [B or 1, m]; key_mask bool [B or 1, n_k]."""
    shown = torch.ones(1, call.num_keys, dtype=torch.float32, device=device) if key_mask is None else key_mask.float()
    return _blocked(shown.unsqueeze(-1), block_of(call)).sum((-1, -2)).to(torch.int16)


def _blocked(rows: Tensor, block: int) -> Tensor:
    """[..., n, X] → [..., ⌈n / block⌉, block, X], missing rows zero."""
    return pad(rows, (0, 0, 0, -rows.shape[-2] % block)).unflatten(-2, (-1, block))


@dataclass(frozen=True, slots=True)
class Table:
    """Keys and values, and the means of their m blocks behind them (m = 0 where the call has no means), as flat rows.

    key    [B·H_kv·(n_k + m), D]; value [B·H_kv·(n_k + m), D_v].
    shape  (B, H_kv, n_k).
    share  [B or 1, 1, m, 1], what a key is of its block's mean: 1 / its visible keys.
    block  keys of a block.
    """

    key: Tensor
    value: Tensor
    shape: tuple[int, int, int]
    share: Tensor
    block: int

    @staticmethod
    def of(key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Table:
        """key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v], rows of masked keys zero; key_mask bool [B or 1, n_k]."""
        block = block_of(call)
        share = 1.0 / count_visible(key_mask, call, key.device).to(key.dtype).clamp(min=1.0)[:, None, :, None]
        flat = [key.flatten(0, 2), value.flatten(0, 2)]
        if call.parameters.means:
            means = ((_blocked(rows, block).sum(3) * share).flatten(0, 2) for rows in (key, value))
            flat = [torch.cat(pair) for pair in zip(flat, means, strict=True)]
        return Table(flat[0], flat[1], (key.shape[0], key.shape[1], key.shape[2]), share, block)

    @property
    def keys(self) -> int:
        """Number of rows before the first mean."""
        return math.prod(self.shape)

    def rows(self, block_rows: Tensor, key_rows: Tensor) -> Tensor:
        """Rows of means and, behind them, of keys: int64 [N, M + F]; the number of all rows = none.

        block_rows [N, M] is b·H_kv·m + u·m + number of a block, B·H_kv·m = none; key_rows [N, F] is
        b·H_kv·n_k + u·n_k + j, B·H_kv·n_k = none.
        """
        return torch.cat([block_rows + self.keys, key_rows.where(key_rows < self.keys, self.key.shape[0])], 1)

    def grads(self) -> tuple[Tensor, Tensor]:
        """Zeros like key and value, with a spare row."""
        return pad(torch.zeros_like(self.key), (0, 0, 0, 1)), pad(torch.zeros_like(self.value), (0, 0, 0, 1))

    def spread(self, grads: tuple[Tensor, Tensor], grad_key: Tensor, grad_value: Tensor) -> None:
        """Add such gradients to those of key and value [B, H_kv, n_k, ...], in place; a mean's to each of its keys.

        Rows of masked keys get a share too; the caller zeroes these.
        """
        for grad, into in zip(grads, (grad_key, grad_value), strict=True):
            into += grad[: self.keys].view(into.shape)
            if self.key.shape[0] > self.keys:
                means = grad[self.keys : -1].view(*self.shape[:2], -1, grad.shape[1]) * self.share
                into += means.repeat_interleave(self.block, 2)[:, :, : self.shape[2]]
