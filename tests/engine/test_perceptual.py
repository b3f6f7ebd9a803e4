"""LPIPS: the trained weights, the package lpips's distance, the same bits twice, and what it refuses."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from skimage.filters import gaussian

from nasdip_engine.data.convert_lpips_weights import ArraysOnly
from nasdip_engine.errors import NasDipError, PictureError
from nasdip_engine.restoration import perceptual
from nasdip_engine.restoration.degradation import degradation_for
from nasdip_engine.restoration.perceptual import (
    WEIGHTS,
    WEIGHTS_SHA256,
    lpips,
    observed_distance,
    read_weights,
)
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind

ASTRONAUT: NDArray[np.uint8] = data.astronaut()


def noisy(picture: NDArray[np.uint8], sigma: float = 25.0) -> NDArray[np.uint8]:
    noise = generator(3, "noise").normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def the_packages_own() -> torch.nn.Module:
    """lpips 0.1.4's module with the shipped weights; built without weights, so that it downloads nothing."""
    from lpips import LPIPS

    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")  # it calls torchvision in an old way
        module = LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    ours, state = read_weights(), module.state_dict()
    for name in state:
        if name.startswith("net."):
            state[name] = ours["features." + name.split(".", 2)[2]]
        elif name.startswith("lin"):
            state[name] = ours["lin" + name.removeprefix("lins.").removeprefix("lin")[0]]
    module.load_state_dict(state, assign=True)
    return module


@pytest.mark.parametrize("size", [(128, 128), (65, 97), (31, 40)])
def test_the_distance_is_that_of_the_package_lpips(size: tuple[int, int]) -> None:
    module = the_packages_own()
    clean = ASTRONAUT[100 : 100 + size[0], 150 : 150 + size[1]]
    blurred = np.rint(gaussian(clean, 1.5, channel_axis=2, preserve_range=True)).astype(np.uint8)
    for other in (noisy(clean), blurred, 255 - clean):
        first, second = (
            torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32)) / 255
            for picture in (clean, other)
        )
        with torch.no_grad():
            theirs = float(module(first, second, normalize=True))
        assert lpips(clean, other) == pytest.approx(theirs, abs=1e-6)
        assert theirs > 0.01


@pytest.mark.skipif(
    not os.environ.get("LPIPS_EXAMPLES"),
    reason="the example pictures of the LPIPS project are in no package: name a folder that holds its imgs/ex_*.png "
    "in LPIPS_EXAMPLES",
)
@pytest.mark.parametrize(("other", "documented"), [("ex_p0", 0.722), ("ex_p1", 0.138)])
def test_the_published_example_pairs_have_their_documented_distance(other: str, documented: float) -> None:
    folder = Path(os.environ["LPIPS_EXAMPLES"])
    pictures = [np.asarray(Image.open(folder / f"{name}.png").convert("RGB")) for name in ("ex_ref", other)]
    assert lpips(*pictures) == pytest.approx(documented, abs=5e-4)


def test_the_features_are_torchvisions_trained_ones_in_its_order() -> None:
    """The first kernel as PyTorch prints it for the trained AlexNet, to its four digits: rows are rows."""
    row = read_weights()["features.0.weight"][0, 0, 0]
    printed = [1.1864e-01, 9.4069e-02, 9.5435e-02, 5.5822e-02, 2.1575e-02, 4.9963e-02]
    assert torch.cat([row[:3], row[-3:]]).tolist() == pytest.approx(printed, rel=1e-4)


def test_the_digest_of_the_file_is_the_one_in_its_readme_and_in_the_loader() -> None:
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() == WEIGHTS_SHA256
    assert WEIGHTS_SHA256 in (WEIGHTS.parent / "README.md").read_text()
    assert {path.name for path in WEIGHTS.parent.iterdir()} >= {"LICENSE.lpips", "LICENSE.torchvision"}


def test_a_damaged_or_missing_file_is_named_in_one_sentence(tmp_path: Path) -> None:
    damaged = tmp_path / "weights.safetensors"
    whole = bytearray(WEIGHTS.read_bytes())
    whole[-1] ^= 1
    damaged.write_bytes(whole)
    with pytest.raises(NasDipError, match=r"weights\.safetensors are damaged: sha256 .* install again"):
        read_weights(damaged)
    with pytest.raises(NasDipError, match=r"absent\.safetensors cannot be read: No such file"):
        read_weights(tmp_path / "absent.safetensors")


def test_the_conversion_opens_arrays_and_nothing_else() -> None:
    asks_for_a_shell = b"cos\nsystem\n(S'true'\ntR."
    with pytest.raises(Exception, match=r"os\.system is no part of an array"):
        ArraysOnly(io.BytesIO(asks_for_a_shell)).load()
    with pytest.raises(Exception, match=r"builtins\.eval is no part of an array"):
        ArraysOnly(io.BytesIO(b"cbuiltins\neval\n(S'1'\ntR.")).load()


def test_equal_pictures_have_no_distance_and_order_does_not_matter() -> None:
    clean = ASTRONAUT[:96, :96]
    assert lpips(clean, clean) == 0
    assert lpips(clean, noisy(clean)) == lpips(noisy(clean), clean)
    assert lpips(clean, noisy(clean, 10)) < lpips(clean, noisy(clean, 40))


def test_depths_and_floats_of_one_picture_are_one_picture() -> None:
    clean, other = ASTRONAUT[:64, :64], noisy(ASTRONAUT[:64, :64])
    same: list[NDArray[Any]] = [other.astype(np.uint16) * np.uint16(257), (other / 255).astype(np.float32)]
    for picture in same:
        assert lpips(clean, picture) == pytest.approx(lpips(clean, other), abs=1e-6)


def test_a_large_picture_in_strips_has_the_distance_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for height in (300, 333, 161):
        clean = ASTRONAUT[:height, :120]
        whole = lpips(clean, noisy(clean))
        for rows in (16, 48, 112):
            monkeypatch.setattr(perceptual, "_STRIP_PIXELS", rows * 120)
            assert lpips(clean, noisy(clean)) == pytest.approx(whole, abs=1e-7)
        monkeypatch.undo()


def test_the_same_bits_in_another_process_and_with_any_number_of_threads() -> None:
    script = (
        "import sys, torch; torch.set_num_threads(int(sys.argv[1]));"
        "from skimage import data; from nasdip_engine.restoration.perceptual import lpips;"
        "a = data.astronaut()[:200, :200]; print(lpips(a, a[::-1].copy()).hex(), torch.get_num_threads())"
    )
    here = lpips(ASTRONAUT[:200, :200], ASTRONAUT[:200, :200][::-1].copy()).hex()
    for threads in (1, 2):
        told = subprocess.run(
            [sys.executable, "-c", script, str(threads)],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert told.stdout.split() == [here, str(threads)]


def test_pictures_that_cannot_be_compared_are_refused_with_their_sizes() -> None:
    with pytest.raises(PictureError, match=r"31 pixels a side; the picture is 40x30"):
        lpips(ASTRONAUT[:30, :40], ASTRONAUT[:30, :40])
    with pytest.raises(PictureError, match=r"40x33.*41x33"):
        lpips(ASTRONAUT[:33, :41], ASTRONAUT[:33, :40])


def test_observed_distance_compares_what_was_observed_with_what_would_have_been() -> None:
    clean = ASTRONAUT[:64, :64]
    restored = noisy(clean).astype(np.float32) / np.float32(255)
    as_bytes = np.rint(restored * 255).astype(np.uint8)

    noise = degradation_for(Task(TaskKind.DENOISE), clean, None)
    assert observed_distance(noise, restored) == pytest.approx(lpips(clean, as_bytes), abs=1e-6)

    known = np.ones((64, 64), dtype=np.bool_)
    known[20:40, 25:50] = False
    hole = degradation_for(Task(TaskKind.INPAINT), clean, known)
    black = [np.where(known[..., None], picture, 0).astype(np.uint8) for picture in (clean, as_bytes)]
    assert observed_distance(hole, restored) == pytest.approx(lpips(*black), abs=1e-6)
    filled = np.where(known[..., None], restored, np.float32(1))
    assert observed_distance(hole, filled) == observed_distance(
        hole, restored
    )  # what fills the hole is not judged

    enlarging = degradation_for(Task(TaskKind.UPSCALE, 2, "box"), clean, None)
    exact = np.repeat(np.repeat(clean, 2, axis=0), 2, axis=1).astype(np.float32) / np.float32(255)
    assert observed_distance(enlarging, exact) == pytest.approx(0, abs=1e-6)
    assert observed_distance(enlarging, 1 - exact) > 0.1
