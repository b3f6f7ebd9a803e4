"""Which hand-made networks, and which learning rate, are worth most in a short fit?

    python -m benchmarks.starter_study [--iterations 150] [--rates 0.01 0.02] [--table FILE.md] [--store DIR | --no-store]

Every starter is fitted to the search frame (128 px) of the three benchmark pictures; the table gives true PSNR in dB against
the clean picture, which the fits never see, and held-out PSNR, by which a search chooses. What the evaluation
store holds is not trained again. About six minutes on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.pictures import Case, astronaut_noise, chelsea_strokes, coffee_small
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.framing import final_frames, search_frame, searched_frame
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.phenotype import Phenotype
from nasdip_engine.genome.starters import starters
from nasdip_engine.local import LocalSearch
from nasdip_engine.picture import Form
from nasdip_engine.question import Question
from nasdip_engine.seeding import Seeds
from nasdip_engine.store_commands import add_options, store_of
from nasdip_engine.task import Task, TaskKind


def question(case: Case, **overrides: Any) -> Question:
    """The case as the command line would ask it, with some settings changed."""
    task = Task(TaskKind(case.task), case.factor)
    settings = settings_for("preview", task, {"cost_cap": 0, **overrides})
    final = final_frames(case.observation, case.mask, task)
    return Question(
        upload=case.observation,
        form=Form(),
        mask=case.mask,
        task=task,
        settings=settings,
        seeds=Seeds.from_seed(0),
        notes=(),
        final=final,
        search=search_frame(searched_frame(case.observation, final), task, settings),
    )


def _words(phenotype: Phenotype) -> str:
    encoder, decoder = phenotype.encoders[0], phenotype.decoders[0]
    assert encoder is not None
    assert decoder is not None
    depth = sum(stage is not None for stage in phenotype.encoders)
    skip = phenotype.skips[0][2] if phenotype.skips else 0
    return f"{depth} units, {encoder.filters} x {encoder.kernel} px in, {decoder.filters} x {decoder.kernel} px out, skip {skip}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.01, 0.02])
    parser.add_argument("--table", type=Path)
    add_options(parser, default=True)
    arguments = parser.parse_args()
    store = store_of(arguments, default=True)
    cases = (astronaut_noise(), chelsea_strokes(), coffee_small())
    genomes = [genome.text for genome in starters(5)]
    columns: list[list[str]] = []
    for case in cases:
        for rate in arguments.rates:
            asked = question(case, iterations=arguments.iterations, learning_rate=rate)
            with LocalSearch(asked, say=print, store=store, reference=case.clean) as search:
                outcomes = search.evaluate_all(genomes)
            cells = [f"{out['true']['psnr']:.2f} ({out['held_out_psnr']:.2f})" for out in outcomes]
            columns.append([f"{case.task}, rate {rate:g}", *cells])
            print(f"{case.name}, rate {rate:g}: done", flush=True)
    rows = ["network", *(_words(Genome.parse(genome).phenotype()) for genome in genomes)]
    lines = [
        "| " + " | ".join([row, *(column[index] for column in columns)]) + " |"
        for index, row in enumerate(rows)
    ]
    lines.insert(1, "|---" * (len(columns) + 1) + "|")
    text = "# Starters and learning rates\n\n"
    text += f"    python -m benchmarks.starter_study --iterations {arguments.iterations}\n\n"
    text += f"True PSNR (held-out PSNR) in dB after {arguments.iterations} iterations on the 128 px search frame, seed 0.\n\n"
    text += "\n".join(lines) + "\n"
    print(text)
    if arguments.table:
        arguments.table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
