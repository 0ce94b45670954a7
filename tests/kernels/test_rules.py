"""Generated source of masks and scores: goldens, what a rule leaves out, files, and Triton's caches."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.curve import Curve
from hyperrewrite.kernels.fused import generated
from hyperrewrite.kernels.fused.rules import Rule, source

GOLDENS = Path(__file__).parents[1] / "golden" / "rules"
RULES = {
    "every_key": Rule(),
    "causal": Rule(causal=True),
    "window": Rule(causal=True, window=True),
    "softcap_causal": Rule(causal=True, softcap=True),
    "softcap_float32": Rule(softcap=True, precise=True),
    "clamp": Rule(score_min=True, score_max=True, scaled=True),
    "bias": Rule(bias=True, scaled=True),
    "documents": Rule(causal=True, groups=1),
    "key_ranges": Rule(first_key=True, stop_key=True),
    "padding": Rule(key_mask=True),
    "everything": Rule(True, True, True, True, True, 2, True, True, True, True, True),
}
# Lines that a part of a rule brings, and nothing else does.
WORDS = {
    "causal": "given.offset",
    "window": "given.window",
    "first_key": "given.first_key",
    "stop_key": "given.stop_key",
    "key_mask": "given.key_mask",
    "groups": "given.key_group",
    "bias": "given.bias",
    "softcap": "given.ratio",
    "score_min": "given.score_min",
    "score_max": "given.score_max",
    "precise": "series",
    "scaled": "given.scale",
}


@pytest.mark.parametrize("name", RULES)
def test_golden(name: str, update_goldens: bool) -> None:
    path, text = GOLDENS / f"{name}.py.txt", source(RULES[name])
    if update_goldens:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"no golden {path}; make it with: pytest {Path(__file__).name} --update-goldens, and read it"
    assert text.splitlines() == path.read_text(encoding="utf-8").splitlines()


def test_every_golden_belongs_to_a_rule() -> None:
    assert {path.name for path in GOLDENS.iterdir()} == {f"{name}.py.txt" for name in RULES}


@pytest.mark.parametrize("name", RULES)
def test_a_source_has_the_lines_of_its_parts_and_no_others(name: str) -> None:
    rule, text = RULES[name], source(RULES[name])
    for part, word in WORDS.items():
        assert (word in text) == bool(getattr(rule, part)), part
    for condition in rule.conditions():
        assert condition in text
    assert rule.formula() in text
    assert all(len(line) <= 120 and line == line.rstrip() for line in text.splitlines())
    assert text.endswith("\n") and "\n\n\n\n" not in text
    compile(text, name, "exec")


@pytest.mark.parametrize(
    ("near", "rule", "word"),
    [
        (Rule(causal=True), Rule(causal=True, window=True), "window"),
        (Rule(softcap=True), Rule(softcap=True, score_max=True), "tl.where"),
        (Rule(first_key=True), Rule(first_key=True, stop_key=True), "stop_key"),
        (Rule(groups=1), Rule(groups=2), "mine[1]"),
        (Rule(groups=1), Rule(groups=1, key_mask=True), "key_mask"),
        (Rule(), Rule(key_mask=True), "def keep"),
        (Rule(), Rule(causal=True), "def limits"),
        (Rule(softcap=True), Rule(softcap=True, bias=True), "def bias_of"),
    ],
)
def test_near_misses(near: Rule, rule: Rule, word: str) -> None:
    assert word in source(rule)
    assert word not in source(near)


def test_the_rule_of_a_call() -> None:
    def of(dtype: torch.dtype = torch.bfloat16, scale: float = 0.1, **rest: object) -> Rule:
        names = ("causal_offset", "sliding_window", "curve")
        call = AttentionCall(8, 8, scale=scale, **{n: rest.pop(n) for n in names if n in rest})  # type: ignore[arg-type]
        return Rule.of(call, dtype, **rest)  # type: ignore[arg-type]

    assert of() == Rule()
    assert of(causal_offset=3, sliding_window=2) == Rule(causal=True, window=True)
    assert of(scale=-0.1) == of(scale=0.0) == Rule(scaled=True)  # softmax only multiplies by what is positive
    assert of(curve=Curve(softcap=30.0)) == of(curve=Curve(softcap=50.0), scale=-1.0) == Rule(softcap=True)
    assert of(torch.float32, curve=Curve(softcap=30.0)) == Rule(softcap=True, precise=True)
    assert of(torch.float32) == Rule()
    assert of(curve=Curve(score_min=-1.0)) == Rule(score_min=True, scaled=True)
    assert of(bias=True) == Rule(bias=True, scaled=True)
    assert of(bias=True, curve=Curve(softcap=30.0)) == Rule(bias=True, softcap=True)
    assert of(groups=2, key_mask=True, stop_key=True) == Rule(groups=2, key_mask=True, stop_key=True)
    with pytest.raises(ValueError, match="causality"):
        Rule(window=True)


def test_numbers_do_not_change_the_source() -> None:
    calls = [
        AttentionCall(8, 8, scale=s, causal_offset=o, curve=Curve(c)) for s, o, c in ((0.1, 0, 9.0), (3.0, 5, 50.0))
    ]
    (rule,) = {Rule.of(call, torch.float16) for call in calls}
    assert rule.numbers(calls[0]) != rule.numbers(calls[1])


# --- files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    return tmp_path / "hyperrewrite"


def test_a_file_is_named_by_its_text_and_written_once(folder: Path) -> None:
    path = generated.stored(source(RULES["causal"]))
    assert path.parent == folder and path.read_text(encoding="utf-8") == source(RULES["causal"])
    before = path.stat()
    assert generated.stored(source(RULES["causal"])) == path
    assert path.stat().st_ino == before.st_ino and path.stat().st_mtime_ns == before.st_mtime_ns
    assert generated.stored(source(RULES["window"])) != path
    assert not stat.S_IMODE(before.st_mode) & 0o022  # nobody else writes what we run


def test_what_was_changed_or_cut_off_is_written_anew(folder: Path) -> None:
    text = source(RULES["causal"])
    path = generated.stored(text)
    for wrong in (text[:100], text.replace("+ 1", "+ 2"), ""):
        path.write_text(wrong, encoding="utf-8")
        assert generated.stored(text) == path
        assert path.read_text(encoding="utf-8") == text
    assert [found.name for found in folder.iterdir()] == [path.name]  # no drafts are left


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def _folder_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "file"))


def _nobody_has_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRITON_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", staticmethod(_no_home))


def _no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: Path) -> None:
        if str(target).startswith(str(tmp_path)):
            raise OSError(28, "No space left on device")
        rename(source, target)

    rename: Callable[..., None] = os.rename
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(os, "replace", full)


@pytest.mark.parametrize("broken", [_folder_is_a_file, _nobody_has_a_home, _no_space])
def test_without_a_cache_folder_the_process_has_its_own(
    broken: Callable[[Path, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(tmp_path, monkeypatch)
    path = generated.stored(source(RULES["causal"]))
    assert tmp_path not in path.parents
    assert path.read_text(encoding="utf-8") == source(RULES["causal"])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not [found for found in tmp_path.rglob("*") if found.suffix == ".py"]


def test_cache_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRITON_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert generated.cache_folder() == tmp_path / "hyperrewrite" / "rules"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert generated.cache_folder() == tmp_path / "home" / ".cache" / "hyperrewrite" / "rules"


def test_several_processes_write_one_file(folder: Path) -> None:
    program = (
        "from hyperrewrite.kernels.fused import generated\n"
        "from hyperrewrite.kernels.fused.rules import Rule, source\n"
        "for groups in range(40): generated.stored(source(Rule(groups=groups)))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    wanted = {f"{generated.name_of(source(Rule(groups=g)))}.py": source(Rule(groups=g)) for g in range(40)}
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == wanted


# --- Triton -------------------------------------------------------------------------------------------------------

COMPILE = '''
import json, sys
import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.curve import Curve
from hyperrewrite.kernels.fused import exact, generated, launch_exact
from hyperrewrite.kernels.fused.config import Phase
from hyperrewrite.kernels.fused.rules import Rule, source


class H100:
    """What Triton asks of a driver before it launches."""

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)


class Compiled:
    """The kernel, compiled as a launch would compile it and not launched."""

    def __getitem__(self, grid):
        def run(*args, **kwargs):
            done = exact.attend_exactly.warmup(*args, grid=grid, **kwargs)
            told.append([done.hash, done.asm["ttir"]])

        return run


driver.set_active(H100())
told = []
launch_exact.attend_exactly, kernel = Compiled(), exact.attend_exactly
changed = lambda rule: generated.loaded(source(rule).replace("given.offset + 1", "given.offset + 7"))
query = torch.randn(1, 2, 256, 64, dtype=torch.bfloat16)
for made, cap in ((generated.module_of, 30.0), (generated.module_of, 50.0), (changed, 50.0)):
    launch_exact.module_of = made
    call = AttentionCall(256, 256, scale=0.1, causal_offset=0, curve=Curve(cap))
    launch_exact.exact(query, query, query, None, None, None, call, 64, Phase(32, 4))
print(json.dumps(told))
'''


def compiled(folder: Path) -> list[list[str]]:
    """[hash, TTIR] of softcap 30, softcap 50, and softcap 50 with another limit in the source, for an H100."""
    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    env |= {"TRITON_CACHE_DIR": str(folder), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_triton_compiles_anew_what_reads_otherwise_and_nothing_else(tmp_path: Path) -> None:
    """The functions come to the kernel as constants: its caches must look at what stands in them."""
    pytest.importorskip("triton")
    first, other_number, other_text = compiled(tmp_path)
    assert first == other_number
    assert other_text[0] != first[0] and other_text[1] != first[1]
    assert compiled(tmp_path) == [first, other_number, other_text]  # in another process, from the disk
