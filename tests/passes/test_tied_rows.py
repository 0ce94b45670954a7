"""Scores summed over several dims: outputs and gradients of every form."""

from __future__ import annotations

import attention_forms_tied as tied
import pytest
import torch
from attention_forms import FORMS, MISSES, Form
from compared import assert_as_eager

TIED = [f for f in (*FORMS.values(), *MISSES.values()) if f.function.__module__ == tied.__name__]


@pytest.mark.parametrize("form", [pytest.param(f, id=f.name) for f in TIED])
def test_gradients(form: Form) -> None:
    args = form.inputs()
    if args[-1].dtype == torch.bool:
        args[-1][:, 0] = True  # a key for every row
    assert_as_eager(form.function, args)
