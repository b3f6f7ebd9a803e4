"""The files that the project writes itself: the same pixels give the same bytes, and nothing else is in them."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nasdip_engine.picture import encode_png, read_png
from nasdip_engine.png import write_samples
from tests.engine.pictures import photo

ROOT = Path(__file__).resolve().parents[2]


def test_same_pixels_same_bytes_and_no_metadata() -> None:
    pixels = photo()
    data = encode_png(pixels)
    assert data == encode_png(pixels.copy(order="F"))
    kinds = re.findall(rb"(IHDR|IDAT|IEND|tEXt|zTXt|iTXt|tIME|eXIf|iCCP|pHYs|gAMA)", data)
    assert sorted(set(kinds)) == [b"IDAT", b"IEND", b"IHDR"]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)


def test_other_arrays_are_not_encoded() -> None:
    for wrong in (photo().astype(np.float32), photo(channels=4), photo()[0, 0]):
        with pytest.raises(ValueError, match="needed"):
            encode_png(wrong)
    with pytest.raises(ValueError, match="alpha"):
        encode_png(photo(), alpha=np.zeros((48, 64), np.uint16))


def test_a_file_that_is_no_png_is_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_png(tmp_path / "nothing.png")
    with pytest.raises(OSError, match="cannot be read"):
        read_png(b"no PNG")


REDUCE = """
import sys
from pathlib import Path
from nasdip_engine.picture import encode_thumbnail
def peak():
    # Not getrusage: its peak is that of the process that started this one, if that was larger.
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
encode_thumbnail(Path(sys.argv[1]), 320)
before = peak()
encode_thumbnail(Path(sys.argv[2]), 320)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_reducing_a_result_takes_little_memory_however_large_it_is(tmp_path: Path) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    small.write_bytes(write_samples(np.zeros((400, 500, 3), np.uint16)))
    pixels = np.zeros((5_000, 5_000, 3), np.uint16)
    large.write_bytes(write_samples(pixels))
    asked = [sys.executable, "-W", "error", "-c", REDUCE, str(small), str(large)]
    grown = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout
    assert int(grown) < pixels.nbytes / 3
