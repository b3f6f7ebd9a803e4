"""Putting a fit on a device and into a precision; what is fitted and how knows of neither."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

__all__ = ["in_precision", "moved"]

T = TypeVar("T")


def moved(value: T, device: torch.device) -> T:
    """A frozen dataclass, a degradation say, with every tensor that it holds on the device."""
    if device.type == "cpu" or not is_dataclass(value):
        return value
    held: dict[str, Any] = {field.name: getattr(value, field.name) for field in fields(value)}
    tensors = {name: part.to(device) for name, part in held.items() if isinstance(part, Tensor)}
    return cast("T", replace(cast("Any", value), **tensors))


def in_precision(network: nn.Module, precision: str, device: torch.device) -> nn.Module:
    """The network on its device; "bf16": its convolutions compute in bfloat16, weights and output stay float32."""
    network = network.to(device)
    return _BrainFloat(network, device.type) if precision == "bf16" else network


class _BrainFloat(nn.Module):
    def __init__(self, network: nn.Module, device_type: str) -> None:
        super().__init__()
        self.network, self.device_type = network, device_type

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(self.device_type, dtype=torch.bfloat16):
            output: Tensor = self.network(z)
        return output.float()
