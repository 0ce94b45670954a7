"""Constants of expressions: what is equal, and that a graph never gets one for another."""

from __future__ import annotations

import sympy
import torch
from hyperrewrite.passes.domain import Domain
from hyperrewrite.passes.expression import FALSE, ONE, TRUE, ZERO, Number
from torch import Tensor

from hyperrewrite.analysis import analyse
from hyperrewrite.options import Options


def test_constants_of_different_types_differ() -> None:
    assert len({Number(0), Number(0.0), Number(False), ZERO, FALSE}) == 3
    assert ONE != TRUE and Number(0) == ZERO and Number(2.0) == Number(2.0)


def test_remainders_of_multiples_are_not_simplified_away() -> None:
    """Found by the view chains: sympy 1.14 takes Mod(3·Mod(y, 4), 4) for 3·Mod(y, 4)."""
    y = sympy.Symbol("y", integer=True, nonnegative=True)
    _, inner = Domain({y: sympy.Integer(8)}).divide(y, sympy.Integer(4))
    _, outer = Domain({y: sympy.Integer(8)}).divide(3 * inner, sympy.Integer(4))
    assert [int(outer.subs(y, k)) for k in range(8)] == [3 * (k % 4) % 4 for k in range(8)]


def test_a_float_zero_is_no_index() -> None:
    """Found by fuzzing: the 0.0 of an additive mask was handed out as the 0 of an index."""

    def call(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
        i = torch.arange(q.shape[2])
        distance = (i[None, :] - i[:, None]) % 7
        keep = torch.where(i[None, :] <= i[:, None], 0.0, -1e30)
        soft = torch.where(i[None, :] % 5 < 4, 0.0, -1e30)
        bias = table[torch.zeros_like(distance), distance]
        return torch.softmax(q @ k.transpose(-2, -1) + bias + keep + soft, -1) @ v

    def backend(gm: torch.fx.GraphModule, _: object) -> object:
        analysis = analyse(gm, Options.of({"approximate": False}))
        assert analysis.changed
        return analysis.module.forward

    torch.manual_seed(0)
    inputs = [torch.randn(2, 3, 63, 8) for _ in range(3)] + [torch.randn(2, 7)]
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(call, backend=backend)(*inputs), call(*inputs), rtol=1e-4, atol=1e-5)
