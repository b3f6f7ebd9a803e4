"""Memory of one training step, by walking it: what autograd keeps, what a gradient needs, when each is let go.

The walk counts the tensors of `restoration.network` and `restoration.fit` in numbers of fp32. A process needs
more than its tensors; `peak_bytes` adds that by measurement (`benchmarks/memory_model.py`).
"""

from __future__ import annotations

from nasdip_engine.genome.layout import Convolution, DecoderStage, Layout

__all__ = ["MODEL_MARGIN", "live_bytes", "peak_bytes"]

MODEL_MARGIN = 1.3
"""A process may need so much more than the model says: few networks are over (`benchmarks/memory_model.py`)."""

_FLOAT = 4  # bytes

# Least squares over networks of another draw than those of docs/results/memory-model.md. With one size of map after
# the other taken and given back, glibc's heap is left with holes: half as much again as the tensors in it.
_HEAP = 1.55
_PROCESS = 2e6  # bytes


def live_bytes(network: Layout, parameters: int) -> int:
    """The most bytes of tensors that a training step holds at once, Adam's moments and the average included."""
    walk = _Walk(network)
    walk.take(3 * parameters + (network.input_channels + 2 * 3) * network.full)  # z, observation, average
    walk.forward()
    walk.backward()
    return _FLOAT * walk.most


def peak_bytes(live: int) -> int:
    """By how much the resident size of a process grows that trains a network with so many live bytes."""
    return round(_HEAP * live + _PROCESS)


class _Walk:
    """One step through a network: numbers that are live now, and the most there were."""

    def __init__(self, network: Layout) -> None:
        self._network = network
        self.live = self.most = 0

    def take(self, numbers: int) -> None:
        self.live += numbers
        self.most = max(self.most, self.live)

    def _touch(self, numbers: int) -> None:
        self.most = max(self.most, self.live + numbers)

    def free(self, numbers: int) -> None:
        self.live -= numbers

    def forward(self) -> None:
        """What a forward pass and the loss leave: the maps that the backward pass looks at again."""
        for _, convolution in self._network.encoders:
            self._forth(convolution)
        for decoder in self._network.decoders:
            self.take(decoder.copied)
            for path in decoder.paths:
                self._forth(path.convolution)
                self.take(path.copied)
            if decoder.paths:
                self.take(decoder.joined)
            self.take(decoder.joined)  # normed
            self._forth(decoder.convolution)
            if decoder.paths:
                self.free(decoder.copied + sum(path.copied for path in decoder.paths))
        self.take(self._network.head + 2 * 3 * self._network.full)
        self.free(3 * self._network.full)  # before the sigmoid
        self.take(2 * 3 * self._network.full)
        self.free(3 * self._network.full)  # the difference before the mask

    def backward(self) -> None:
        picture = 3 * self._network.full
        self.take(2 * picture)  # of the square; its factor
        self.free(2 * picture)  # and the difference
        self.take(picture)
        self.free(picture)  # through mask and sigmoid
        gradient = self._network.head or self._network.decoded
        self.take(gradient)
        self.free(picture)
        if self._network.head:
            self.free(self._network.head)
            self.take(self._network.decoded)
            self.free(self._network.head)
            gradient = self._network.decoded
        waiting: dict[int, int] = {}
        for decoder in reversed(self._network.decoders):
            gradient = self._back_through(decoder, gradient, waiting)
        for place, (unit, convolution) in reversed(list(enumerate(self._network.encoders))):
            if unit in waiting:
                self.free(waiting[unit])  # added to the other gradient of this map
            gradient = self._back(convolution, gradient, inner=place > 0)

    def _back_through(self, decoder: DecoderStage, gradient: int, waiting: dict[int, int]) -> int:
        self._back(decoder.convolution, gradient)
        self.free(decoder.joined)  # the normed map, which the convolution kept
        self.take(decoder.joined)
        self.free(decoder.joined + decoder.owned)
        for path in reversed(decoder.paths):
            made = path.convolution.made if path.copied else 0
            self.take(made)
            self._back(path.convolution, made)
            if path.encoder in waiting:
                self.free(path.convolution.given)
            waiting[path.encoder] = path.convolution.given
        if decoder.copied:
            self.take(decoder.below)
            self.free(decoder.joined)
            return decoder.below
        return decoder.joined  # with paths a view of it, which keeps it whole

    def _forth(self, convolution: Convolution) -> None:
        self.take(convolution.made)  # the convolution's, for batch norm
        self._touch(convolution.forward)
        self.take(convolution.made)  # the activated one, for what follows

    def _back(self, convolution: Convolution, gradient: int, inner: bool = True) -> int:
        """From a gradient of the output, in `gradient` live numbers, to one of the input, which stays live."""
        self.take(convolution.made)
        self.free(gradient + convolution.made)  # that before the activation, and the activated map
        self.take(convolution.made)
        self.free(2 * convolution.made)  # that before batch norm, and the convolution's output
        given = convolution.given if inner else 0  # the fixed input wants no gradient
        self.take(given)
        if inner:
            self._touch(convolution.to_input)
        self.take(convolution.weights)
        self._touch(convolution.to_weights)
        self.free(convolution.made)
        return given
