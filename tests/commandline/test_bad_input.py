"""Bad input: exit code 2, one line that names what was wrong, nothing written, no network trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from nasdip_engine.devices import cores
from tests.commandline.conftest import nasdip


@pytest.fixture(scope="session")
def bad(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files with something wrong, beside sound ones."""
    folder = tmp_path_factory.mktemp("bad")
    sound = (photographs / "noisy.png").read_bytes()
    (folder / "sound.png").write_bytes(sound)
    (folder / "text.png").write_text("hello")
    (folder / "truncated.png").write_bytes(sound[:200])
    (folder / "half.png").write_bytes(sound[: len(sound) // 2])
    Image.new("L", (32, 32), 255).save(folder / "other-size.png")
    Image.new("L", (64, 64), 255).save(folder / "all-known.png")
    Image.new("L", (64, 64), 0).save(folder / "all-hole.png")
    Image.new("L", (1300, 1300), 90).save(folder / "huge.png")
    Image.new("RGB", (16, 64)).save(folder / "narrow.png")
    return folder


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["text.png", "--task", "denoise"], ["text.png"]),
        (["truncated.png", "--task", "denoise"], ["truncated.png"]),
        (["half.png", "--task", "denoise"], ["half.png"]),
        (["nowhere.png", "--task", "denoise"], ["nowhere.png"]),
        (["narrow.png", "--task", "denoise"], ["narrow.png", "32"]),
        (["huge.png", "--task", "upscale", "--factor", "8"], ["huge.png", "10400 x 10400", "up to 100"]),
        (["sound.png", "--task", "denoise", "--tile", "63"], ["tile", "64 to 1024"]),
        (
            ["sound.png", "--task", "inpaint", "--mask", "other-size.png"],
            ["other-size.png", "32 x 32", "64 x 64"],
        ),
        (["sound.png", "--task", "inpaint", "--mask", "all-known.png"], ["all-known.png", "known"]),
        (["sound.png", "--task", "inpaint", "--mask", "all-hole.png"], ["all-hole.png", "hole"]),
        (["sound.png", "--task", "inpaint", "--mask", "text.png"], ["text.png"]),
        (["sound.png", "--task", "inpaint"], ["--mask"]),
        (["sound.png", "--task", "denoise", "--mask", "all-known.png"], ["--mask", "denoise"]),
        (["sound.png", "--task", "upscale", "--factor", "99"], ["99", "2 to 8"]),
        (["sound.png", "--task", "upscale"], ["--factor", "2 to 8"]),
        (["sound.png", "--task", "denoise", "--factor", "2"], ["--factor"]),
        (["sound.png", "--task", "denoise", "--noise", "none"], ["noise", "nothing to remove"]),
        (
            ["sound.png", "--task", "denoise", "--noise", "grain"],
            ["'grain'", "independent, correlated, impulse"],
        ),
        (
            ["sound.png", "--task", "upscale", "--factor", "2", "--noise", "impulse"],
            ["impulse", "none, correlated"],
        ),
        (["sound.png", "--task", "denoise", "--noise", ""], ["--noise is empty", "independent"]),
        (["sound.png", "--task", "denoise", "--preset", ""], ["preset is ''", "preview"]),
        (["sound.png", "--task", "polish"], ["polish", "denoise"]),
        (["sound.png", "--task", "denoise", "--representation", "symmetric"], ["symmetric", "asymt"]),
        (["sound.png", "--task", "denoise", "--units", "9"], ["units", "9", "1 to 8"]),
        (["sound.png", "--task", "denoise", "--preset", "quick"], ["quick", "preview", "paper"]),
        (["sound.png", "--task", "denoise", "--population", "1"], ["population", "2 to 1000"]),
        (["sound.png", "--task", "denoise", "--population", "1001"], ["population", "2 to 1000"]),
        (["sound.png", "--task", "denoise", "--generations", "0"], ["generations", "1 to 100"]),
        (["sound.png", "--task", "denoise", "--iterations", "20001"], ["iterations", "1 to 20000"]),
        (["sound.png", "--task", "denoise", "--threads", "65"], ["threads", "1 to 64"]),
        (["sound.png", "--task", "denoise", "--device", "tpu"], ["device", "tpu", "cpu, cuda"]),
        (["sound.png", "--task", "denoise", "--precision", "fp8"], ["precision", "fp8", "fp32, bf16"]),
        (["sound.png", "--task", "denoise", "--seed", "-1"], ["seed", "a whole number, 0 to 2147483647"]),
        (["sound.png", "--task", "denoise", "--population", "many"], ["many"]),
        (
            ["sound.png", "--task", "denoise", "--reference", "other-size.png"],
            ["other-size.png", "32 x 32", "64 x 64"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_restore_refuses(bad: Path, tmp_path: Path, arguments: list[str], told: list[str]) -> None:
    out = tmp_path / "out"
    named = [str(bad / argument) if argument.endswith(".png") else argument for argument in arguments]
    ended = nasdip("restore", *named, "--out", out)
    assert ended.code == 2, ended.err
    assert all(word in ended.line for word in told), ended.line
    assert not out.exists()
    assert ended.out == ""


@pytest.mark.skipif(cores() >= 64, reason="this machine has all the cores that may be asked for")
def test_more_threads_than_cores_are_refused_before_anything_is_trained(bad: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    threads = cores() + 1
    ended = nasdip("restore", bad / "sound.png", "--task", "denoise", "--threads", threads, "--out", out)
    assert ended.code == 2, ended.err
    assert f"threads is {threads}" in ended.line
    assert not out.exists()


@pytest.mark.parametrize(("option", "value"), [("--seed", "0"), ("--seed", "7"), ("--threads", "0")])
def test_what_a_run_brings_itself_is_refused_beside_like(tmp_path: Path, option: str, value: str) -> None:
    ended = nasdip("evaluate", "--like", tmp_path, "--genome", "asym:5:" + "0" * 43, option, value)
    assert ended.code == 2, ended.err
    assert f"{option} cannot be given beside --like" in ended.line


@pytest.mark.parametrize("option", ["--refit", "--no-refit", "--invert-mask"])
def test_a_switch_beside_like_is_refused_too(tmp_path: Path, option: str) -> None:
    ended = nasdip("evaluate", "--like", tmp_path, "--genome", "asym:5:" + "0" * 43, option)
    assert ended.code == 2 and f"{option} cannot be given beside --like" in ended.line


@pytest.mark.parametrize(
    "words", [["up", "--port", "8790"], ["user", "owner", "--token"], ["test", "--quick"]], ids=" ".join
)
def test_what_the_launcher_starts_is_named_with_its_options(words: list[str]) -> None:
    ended = nasdip(*words)
    assert (
        ended.code == 2
        and ended.line == f"nasdip: `{words[0]}` is started by the launcher: ./nasdip {' '.join(words)}"
    )
