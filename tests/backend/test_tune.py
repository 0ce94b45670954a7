"""The command `hyperrewrite tune`: bad arguments, no GPU, and a whole run over the interpreter with a made-up clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hyperrewrite.kernels.fused import bench, configure, measured
from hyperrewrite.kernels.fused.config import Config, Device, Phase
from hyperrewrite.kernels.fused.generated import write_whole

from hyperrewrite import tuning
from hyperrewrite.cli import run_command

SOME = Device("Some GPU", (9, 0), 232_448, torch.float16)
SMALL = ("tune", "--kernels", "hyper,exact", "--dtypes", "float32", "--features", "64", "--lengths", "256",
         "--heads", "1", "--causal")  # fmt: skip


@pytest.fixture
def sentence(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*words: str) -> str:
        assert run_command(words) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("hyperrewrite: ") and captured.err.count("\n") == 1
        assert "Traceback" not in captured.err + captured.out
        return captured.err

    return run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kernels", "paper"], "--kernels must be of hyper, exact, exact_pairs"),
        (["--dtypes", "float64"], "--dtypes must be of bfloat16, float16, float32"),
        (["--dtypes", ""], "--dtypes"),
        (["--features", "80"], "--features must be of 64, 128, 256"),
        (["--lengths", "4096,many"], "--lengths must be whole numbers from 256"),
        (["--lengths", "100"], "not '100'"),
        (["--lengths", "²²²²"], "--lengths"),
        (["--lengths", "9" * 5000], "--lengths must be whole numbers"),
        (["--heads", "0"], "--heads must be from 1"),
        (["--seconds", "nan"], "--seconds must be above 0"),
        (["--seconds", "long"], "--seconds"),
        (["--out", "/no/such/folder/table.json"], "--out cannot be written"),
        (["--out", "/"], "--out cannot be written"),
        (["--inputs", "/no/such/file.safetensors"], "--inputs /no/such/file.safetensors cannot be read"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_arguments(
    words: list[str], said: str, sentence: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in sentence("tune", *words)
    assert not list(tmp_path.iterdir())


def test_bad_tables(sentence: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "table.json"
    file.write_text("{}", encoding="utf-8")
    assert f"the table {file}: it must be an object" in sentence("tune", "--out", str(file))
    monkeypatch.setenv(configure.VARIABLE, str(file))
    assert f"the table {file}: it must be an object" in sentence("tune", "--out", str(tmp_path / "other.json"))
    assert file.read_text(encoding="utf-8") == "{}"


def test_bad_inputs(sentence: Callable[..., str], tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    file = tmp_path / "qkv.safetensors"
    good = {name: torch.zeros(2, 300, 64) for name in "qkv"}
    for bad in ({"v": torch.zeros(2, 300)}, {"q": torch.zeros(3, 300, 64)}, {"k": torch.zeros(2, 301, 64)}):
        safetensors.save_file(good | bad, file)
        assert "must hold q, k and v" in sentence("tune", "--inputs", str(file), "--out", str(tmp_path / "t.json"))
    file.write_text("no tensors", encoding="utf-8")
    assert "cannot be read" in sentence("tune", "--inputs", str(file), "--out", str(tmp_path / "t.json"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_without_a_gpu(sentence: Callable[..., str], tmp_path: Path) -> None:
    assert "PyTorch sees none here" in sentence("tune", "--out", str(tmp_path / "table.json"))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Config, float]]:
    """A GPU that is the interpreter; a configuration takes a millisecond, or what the dictionary says."""
    pytest.importorskip("triton")
    if torch.cuda.is_available():
        pytest.skip("interpreted only where there is no GPU")
    times: dict[Config, float] = {}
    running: list[Config] = []
    from hyperrewrite.kernels.sampling.triton import launch

    real = launch.sampled

    def hyper(*args: object) -> object:
        running.append(args[-1])  # type: ignore[arg-type]
        return real(*args)  # type: ignore[arg-type]

    def milliseconds(call: Callable[[], object], device: torch.device) -> float:
        if not running:
            return 2.0
        return times.get(running[-1], 1.0)

    monkeypatch.setattr(launch, "sampled", hyper)
    monkeypatch.setattr(bench, "milliseconds", milliseconds)
    monkeypatch.setattr(bench, "reason_against", lambda *_: None)
    monkeypatch.setattr(bench, "reason_against_exact", lambda *_: None)
    monkeypatch.setattr(tuning, "gpu", lambda: torch.device("cpu"))
    monkeypatch.setattr(tuning, "device_of", lambda _: SOME)
    yield times


def test_whole_command(
    pretended: dict[Config, float],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    sentence: Callable[..., str],
) -> None:
    file = tmp_path / "table.json"
    now = configure.config_of(SOME, torch.float32, 64, 256, True)
    best = replace(now, attend=Phase(64, 8), plain=64)
    assert now.plain == 32  # a step of 64 keys takes plain ones of as many with it
    pretended[best] = 0.5
    before = measured.Row("Other", (8, 0), "hyper", torch.float16, 128, 9, False, Config())
    file.write_text(measured.text([before]), encoding="utf-8")
    assert run_command([*SMALL, "--out", str(file), "--device-name", "Some*"]) == 0
    told = capsys.readouterr().out
    assert "causal: 1.000 → 0.500 ms with sums 32·8·2, search 64·8·2, attend 64·8·2, plain 64 (4" in told
    assert "2.00   attend 64·8" in told and "1.00   –" in told
    assert f"export {configure.VARIABLE}={file}" in told
    rows = measured.read(file)
    assert {row.kernel for row in rows} == {"hyper", "exact"} and before in rows
    (row,) = (row for row in rows if row.kernel == "hyper" and row.device == "Some*")
    assert row.milliseconds == 0.5 and row.torch_version == torch.__version__
    monkeypatch.setenv(configure.VARIABLE, str(file))
    assert configure.config_of(SOME, torch.float32, 64, 300, True) == best
    assert "must fit the name of this GPU, 'Some GPU'" in sentence(*SMALL, "--out", str(file), "--device-name", "H*")


def test_a_case_that_cannot_run_is_left_out(
    pretended: dict[Config, float], tmp_path: Path, sentence: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "reason_against", lambda *_: "the moon is full")
    file = tmp_path / "table.json"
    words = [word.replace("hyper,exact", "hyper") for word in SMALL]
    assert "nothing could be measured" in sentence(*words, "--out", str(file))
    assert not file.exists()


def test_a_case_that_needs_too_much_memory_is_left_out(
    pretended: dict[Config, float], tmp_path: Path, sentence: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("17 GiB")

    monkeypatch.setattr(bench, "random_inputs", full)
    assert "17 GiB" in sentence(*SMALL, "--out", str(tmp_path / "table.json"))


def test_a_table_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    file.write_text("before", encoding="utf-8")
    write_whole(file, b"after")
    assert file.read_text(encoding="utf-8") == "after" and [one.name for one in tmp_path.iterdir()] == ["table.json"]
