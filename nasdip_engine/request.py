"""What an evaluator is asked, and what it says while it works: JSON values; pictures travel as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypedDict

from nasdip_engine.bit_depth import DEPTHS
from nasdip_engine.errors import SettingsError
from nasdip_engine.evolution.settings import SearchSettings
from nasdip_engine.framing import Box
from nasdip_engine.seeding import SEED_LIMIT
from nasdip_engine.task import Task

__all__ = ["Kind", "Part", "Progress", "Request"]


class Kind(StrEnum):
    """EVALUATE a search fit, FINISH a final fit, BASELINE a training-free reference, COMBINE final fits."""

    EVALUATE = "evaluate"
    FINISH = "finish"
    BASELINE = "baseline"
    COMBINE = "combine"


class Progress(TypedDict):
    """Sent once an iteration: the heartbeat. loss is null where nothing is trained; held_out_psnr is the last
    one looked at, in dB; preview is a PNG in base64, 256 px at most, about once a second, else null."""

    iteration: int
    of: int
    loss: float | None
    held_out_psnr: float | None
    preview: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One frame of several: its files, its place, and what was made of it.

    picture, mask: PNG files of the frame.  box, scale: as in `framing.Frame`.  inputs, genomes: .npy files of the
    final fits and the networks that made them, for COMBINE.
    """

    picture: str
    mask: str | None
    box: Box
    scale: float = 1.0
    inputs: tuple[str, ...] = ()
    genomes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it, as `from_json` takes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Part:
        """Optional fields may be missing.  Raises KeyError where a needed one is."""
        x, y, width, height = value["box"]
        return cls(
            picture=value["picture"],
            mask=value.get("mask"),
            box=(x, y, width, height),
            scale=value.get("scale", 1.0),
            inputs=tuple(value.get("inputs") or ()),
            genomes=tuple(value.get("genomes") or ()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to compute. Paths are of PNG files; picture is the frame to fit, mask grey >= 128 = known.

    output: where the float32 .npy (H, W, 3) of a fit goes (EVALUATE only if given), or the PNG of BASELINE
    and COMBINE.  inputs, genomes: COMBINE's .npy files and the networks that made them.  method: BASELINE's,
    the task's own if None.  bit_depth: of that PNG, the frame's own if None.  reference: EVALUATE and FINISH, a clean
    picture of the output's size: the outcome then has `true`, the PSNR against it by iteration, and is otherwise the same
    to the bit.  stills: FINISH, a folder for the stills of the fit and what it has learnt (`stills`), which change no bit
    either.  grey, profile: whether the upload is grey, and a file of its colour profile; previews and stills have both as
    the result has them.  stop: iterations after which an EVALUATE ends although settings or genome say more: a rung of a race.
    hook: a fault to inject, for tests of the guard.  parts: the frames of a picture fitted in several; size
    and mask are then the upload's, output the whole's .npy.
    """

    kind: Kind
    task: Task
    settings: SearchSettings
    evaluation_seed: int
    picture: str
    mask: str | None = None
    genome: str | None = None
    output: str | None = None
    method: str | None = None
    inputs: tuple[str, ...] = ()
    genomes: tuple[str, ...] = ()
    bit_depth: int | None = None
    reference: str | None = None
    stills: str | None = None
    grey: bool = False
    profile: str | None = None
    stop: int | None = None
    hook: str | None = None
    parts: tuple[Part, ...] = ()
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        seed = self.evaluation_seed
        if type(seed) is not int or not 0 <= seed <= SEED_LIMIT:
            raise SettingsError(
                f"evaluation_seed is {seed!r}; allowed is 0 to {SEED_LIMIT}", field="evaluation_seed"
            )
        needed = {
            Kind.EVALUATE: ("genome",),
            Kind.FINISH: ("genome", "output"),
            Kind.BASELINE: ("output", "size") if self.parts else ("output",),
            Kind.COMBINE: ("output", "size") if self.parts else ("inputs", "genomes", "output"),
        }
        for name in needed[self.kind]:
            if not getattr(self, name):
                raise SettingsError(f"a request to {self.kind} needs {name}", field=name)
        if self.stop is not None and (self.kind is not Kind.EVALUATE or self.stop < 1):
            raise SettingsError(f"stop is {self.stop!r}; it is for EVALUATE, 1 and more", field="stop")
        if self.bit_depth not in (None, *DEPTHS):
            raise SettingsError(f"bit_depth is {self.bit_depth!r}; allowed are 8 and 16", field="bit_depth")

    def to_json(self) -> dict[str, Any]:
        """All of it, as `from_json` takes it."""
        return {
            "kind": self.kind.value,
            "task": self.task.to_json(),
            "settings": self.settings.to_json(),
            "evaluation_seed": self.evaluation_seed,
            "picture": self.picture,
            "mask": self.mask,
            "genome": self.genome,
            "output": self.output,
            "method": self.method,
            "inputs": list(self.inputs),
            "genomes": list(self.genomes),
            "bit_depth": self.bit_depth,
            "reference": self.reference,
            "stills": self.stills,
            "grey": self.grey,
            "profile": self.profile,
            "stop": self.stop,
            "hook": self.hook,
            "parts": [part.to_json() for part in self.parts],
            "size": self.size,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Request:
        """Optional fields may be missing. Raises SettingsError for an unknown or incomplete request."""
        try:
            kind = Kind(value.get("kind", ""))
        except ValueError:
            raise SettingsError(
                f"kind is {value.get('kind')!r}; allowed are {', '.join(Kind)}", field="kind"
            ) from None
        for name in ("task", "settings", "evaluation_seed", "picture"):
            if name not in value:
                raise SettingsError(f"the request has no {name}", field=name)
        return cls(
            kind=kind,
            task=Task.from_json(value["task"]),
            settings=SearchSettings.from_json(value["settings"]),
            evaluation_seed=value["evaluation_seed"],
            picture=value["picture"],
            mask=value.get("mask"),
            genome=value.get("genome"),
            output=value.get("output"),
            method=value.get("method"),
            inputs=tuple(value.get("inputs") or ()),
            genomes=tuple(value.get("genomes") or ()),
            bit_depth=value.get("bit_depth"),
            reference=value.get("reference"),
            stills=value.get("stills"),
            grey=value.get("grey", False),
            profile=value.get("profile"),
            stop=value.get("stop"),
            hook=value.get("hook"),
            parts=tuple(Part.from_json(part) for part in value.get("parts") or ()),
            size=tuple(value["size"]) if value.get("size") else None,
        )
