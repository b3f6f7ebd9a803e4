"""One whole preview for each learning rate: search, final fits, choice, and the true PSNR of the result.

    python -m benchmarks.learning_rate [--task inpaint] [--rates 0.01 0.02] [--seed 0] [--store DIR | --no-store]

About four minutes a rate on two cores; the search fits that the evaluation store holds are not trained again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from benchmarks.pictures import astronaut_noise, chelsea_strokes, coffee_small
from benchmarks.starter_study import question
from nasdip_engine.evolution.search import best_of
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.local import LocalSearch
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.seeding import Seeds
from nasdip_engine.store_commands import add_options, store_of

_CASES = {"denoise": astronaut_noise, "inpaint": chelsea_strokes, "upscale": coffee_small}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=sorted(_CASES), default="inpaint")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.01, 0.02])
    parser.add_argument("--seed", type=int, default=0)
    add_options(parser, default=True)
    arguments = parser.parse_args()
    store = store_of(arguments, default=True)
    case = _CASES[arguments.task]()
    for rate in arguments.rates:
        asked = replace(question(case), seeds=Seeds.from_seed(arguments.seed))
        settings = settings_for("preview", asked.task, {"learning_rate": rate})
        asked = replace(asked, settings=settings)
        with LocalSearch(asked, say=print, store=store, reference=case.clean) as search:
            history, _ = search.search()
            finalists = best_of(history, settings)[: settings.finalists]
            final, picture = search.finish([one.genome for one in finalists])
        print(
            f"{case.name}, rate {rate:g}: {psnr(picture, case.clean):.2f} dB, held out {final['held_out_psnr']:.2f} dB",
            flush=True,
        )


if __name__ == "__main__":
    main()
