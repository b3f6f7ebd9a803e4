"""Small questions on a photograph, for tests that drive whole searches, and a fitness for those that train nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from nasdip_engine.errors import InvalidPhenotype
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.framing import final_frames, search_frame
from nasdip_engine.genome.genome import Genome
from nasdip_engine.picture import Form
from nasdip_engine.question import Question
from nasdip_engine.seeding import Seeds, generator
from nasdip_engine.task import Task, TaskKind

SIDE = 40


def clean(side: int = SIDE) -> NDArray[np.uint8]:
    """scikit-image's astronaut, reduced."""
    return np.asarray(Image.fromarray(data.astronaut()).resize((side, side), Image.Resampling.LANCZOS))


def noisy(side: int = SIDE) -> NDArray[np.uint8]:
    noise = generator(1, "test noise").normal(0, 20, (side, side, 3))
    return np.clip(np.rint(clean(side) + noise), 0, 255).astype(np.uint8)


def fitness_of(text: str) -> float:
    """Some fixed fitness of a network, by its digest: 0 where the genome describes none."""
    try:
        digest = Genome.parse(text).phenotype().digest
    except InvalidPhenotype:
        return 0.0
    return (1 + int(digest[:6], 16)) / 2**25


def question(seed: int = 3, **overrides: Any) -> Question:
    """De-noising with networks of two units: four individuals, two generations, few iterations."""
    task = Task(TaskKind.DENOISE)
    given = {
        "units": 2,
        "input_channels": 8,
        "population": 4,
        "generations": 2,
        "iterations": 12,
        **overrides,
    }
    settings = settings_for("preview", task, {"final_iterations": 20, **given})
    final = final_frames(noisy(), None, task)
    return Question(
        upload=noisy(), form=Form(), mask=None, task=task, settings=settings, seeds=Seeds.from_seed(seed), notes=(),
        final=final, search=search_frame(final[0], task, settings),
    )  # fmt: skip
