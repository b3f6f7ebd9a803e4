"""The command line: `nasdip restore`, `nasdip evaluate`, `nasdip verify`, `nasdip describe`, `nasdip store`.

Parses, validates, calls, prints. Bad input ends with exit code 2 and one line on stderr before anything is written;
a run that could not go on ends with 1. Heavy parts are imported only by the command that needs them, so that
`nasdip --help` loads no torch.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from nasdip_engine import store_commands
from nasdip_engine.errors import InvalidInput, NasDipError
from nasdip_engine.evolution.presets import MEASURED, worth
from nasdip_engine.evolution.settings import GPU_PRESETS, PRESETS, describe, settings_for, task_for
from nasdip_engine.genome.genome import MAX_UNITS, REPRESENTATIONS, Genome
from nasdip_engine.interrupts import EndedBySignal, ended_as_by_hand
from nasdip_engine.task import NOISES, Task, TaskKind
from nasdip_engine.version import VERSION

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """argparse, with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _add_question(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--task",
        required=required,
        choices=[kind.value for kind in TaskKind],
        help="what is wrong with the picture",
    )
    parser.add_argument(
        "--mask",
        type=Path,
        help="inpaint: a picture of the same size; grey >= 128 is known, below is to be filled",
    )
    parser.add_argument(
        "--invert-mask",
        action="store_true",
        help="the mask file has the other convention: bright is to be filled",
    )
    parser.add_argument("--noise", help=_noises())
    parser.add_argument("--factor", type=int, help="upscale: how many times larger, 2 to 8")
    parser.add_argument(
        "--bit-depth",
        type=int,
        choices=[8, 16],
        help="bits a channel of the result (default: the picture's own)",
    )
    parser.add_argument("--preset", help=_presets())
    parser.add_argument("--seed", type=int, help="one number that decides every random choice (default 0)")
    _add_settings(parser)
    store_commands.add_options(parser)


def _add_race_and_refit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--first-rung",
        type=float,
        help="race: every new network of a generation is trained for this part of the iterations, the best of them three "
        "times as long, and so on, 0.02 to 1 (1: all are trained to the end; default 1, in a preview of a hole or an "
        "enlargement without noise 0.167)",
    )
    parser.add_argument(
        "--promoted-share",
        type=float,
        help="race: the part of the networks that goes on at each rung, 0.05 to 0.95 (default 0.33)",
    )
    parser.add_argument(
        "--refit",
        action=argparse.BooleanOptionalAction,
        help="fit the finalists again with the observations that were held out, for as long as these said (default: yes, "
        "but for a hole in a picture that is otherwise exact, and in the paper's preset)",
    )


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """Settings that replace the preset's."""
    parser.add_argument(
        "--representation",
        choices=list(REPRESENTATIONS),
        help="genomes of the search: asymmetric (default), asymmetric with the training length T in iterations, "
        "or symmetric",
    )
    parser.add_argument(
        "--units", type=int, help=f"pairs of stages of a genome, 1 to {MAX_UNITS} (default 5)"
    )
    parser.add_argument("--population", type=int, help="individuals a generation, 2 to 1000")
    parser.add_argument("--generations", type=int, help="generations, generation 0 included, 1 to 100")
    parser.add_argument("--iterations", type=int, help="training iterations of a search fit, 1 to 20000")
    parser.add_argument(
        "--final-iterations",
        type=int,
        help="limit of the final fit, 1 to 20000 (default: the preset's; with --iterations, in the preset's ratio)",
    )
    parser.add_argument(
        "--finalists",
        type=int,
        help="distinct networks that are fitted at full size, 1 to 4; the held-out error chooses between the mean of all "
        "and each one (default: the preset's, 2, or 1 in the paper's)",
    )
    _add_race_and_refit(parser)
    parser.add_argument(
        "--device",
        help="what evaluations compute on, cpu or cuda (default cpu); another one gives other bits",
    )
    parser.add_argument(
        "--threads",
        type=int,
        help="threads of an evaluation, 1 to 64 (default 1); another number gives other bits",
    )
    parser.add_argument("--precision", help="fp32 (default) or, where the device computes in it, bf16")
    parser.add_argument(
        "--tile",
        type=int,
        help="a picture of more pixels a side, or a result of over four times as many, is fitted in overlapping tiles of at "
        "most so many, 64 to 1024 (default 512; enlarged tiles have twice that)",
    )
    parser.add_argument(
        "--tile-finalists",
        type=int,
        help="so many of the best networks fit every tile, 1 to 4 (default 1; each takes as long as the first)",
    )


def _noises() -> str:
    told = "; ".join(f"{kind}: {', '.join(noises)}" for kind, noises in NOISES.items())
    return (
        f"what is assumed of the noise ({told}; the first is the default). independent: grain of any strength, pixel by "
        "pixel, and mostly the better choice for a JPEG, too; correlated: shared by near pixels, as in camera pictures; "
        "impulse: salt and pepper; none: what is known is exact"
    )


def _presets() -> str:
    """What each preset costs and is worth, for --help: counts that are known beforehand, and what was measured."""
    told = []
    for preset in PRESETS:
        task = task_for(preset, Task(TaskKind.DENOISE))
        cost = describe(settings_for(preset, task), task)
        where = " (the paper's protocol: for GPUs)" if preset in GPU_PRESETS else ""
        told.append(
            f"{preset}: {cost['evaluations']} networks, {cost['iterations_x_pixels'] / 1e6:,.0f} M iterations x pixels"
            + where
        )
    gave = " ".join(f"{preset}: {worth(preset, TaskKind.DENOISE)}" for preset in MEASURED)
    return (
        f"how long to search a 256 px picture: {'; '.join(told)}; preview takes 2 to 6 minutes on two cores (default). "
        f"What they gave with noise: {gave}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nasdip", description="Restore one picture with the network whose structure is its best prior."
    )
    parser.add_argument("--version", action="version", version=f"nasdip {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    restore = commands.add_parser(
        "restore", help="search a network for one picture and restore the picture with it"
    )
    restore.add_argument("picture", type=Path)
    _add_question(restore, required=True)
    restore.add_argument(
        "--reference", type=Path, help="a clean picture of the result's size, for PSNR, SSIM and LPIPS only"
    )
    restore.add_argument("--out", type=Path, required=True, help="a new or empty folder for the result")
    restore.add_argument(
        "--workers", type=int, help="evaluations at once (default: cores / threads); never changes the result"
    )

    evaluate = commands.add_parser(
        "evaluate",
        help="the fitness of one genome, as one JSON line",
        description="The fitness of one genome, as one JSON line. Takes the settings of `restore`, so that a command can be "
        "repeated; those of breeding, racing, final fits and tiles change nothing here.",
    )
    evaluate.add_argument("picture", type=Path, nargs="?", help="a picture (with --task), instead of --like")
    evaluate.add_argument("--like", type=Path, help="picture, mask, task, settings and seeds of this run")
    evaluate.add_argument("--genome", required=True, help="text form, asym:5:HEX, asymt:5:HEX or sym:5:HEX")
    _add_question(evaluate, required=False)
    evaluate.add_argument(
        "--reference",
        type=Path,
        help="a clean picture of the result's size: prints psnr, ssim and lpips on the search frame",
    )

    verify = commands.add_parser("verify", help="repeat the final fit of a run and compare digests")
    verify.add_argument("run", type=Path)
    verify.add_argument("--search", action="store_true", help="repeat the whole search first")

    price = commands.add_parser(
        "describe", help="what one genome's network costs, before any training, as one JSON line"
    )
    price.add_argument("genome", help="text form, asym:5:HEX, asymt:5:HEX or sym:5:HEX")
    price.add_argument("--size", default="128x128", help="output in pixels, WIDTHxHEIGHT (default 128x128)")
    price.add_argument("--input-channels", type=int, default=32, help="1 to 128 (default 32)")

    store_commands.add_commands(commands)

    for name, what in _LAUNCHED.items():
        commands.add_parser(name, help=f"{what} (the launcher does this)", add_help=False)
    return parser


_LAUNCHED = {
    "up": "start the application",
    "test": "run the tests",
    "user": "make a new password or API token",
}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _restore(arguments: argparse.Namespace) -> int:
    from nasdip_engine import local_run, question, run_folder

    if arguments.workers is not None and arguments.workers < 1:
        raise InvalidInput(f"--workers is {arguments.workers}; allowed is 1 and more")
    run_folder.check_output_folder(arguments.out)
    asked = question.from_arguments(arguments)
    clean = question.read_reference(arguments.reference, asked)
    store = store_commands.store_of(arguments)
    for line in asked.notes:
        _say(line)
    try:
        run = local_run.restore_to_folder(
            asked, arguments.out, reference=clean, workers=arguments.workers, say=_say, store=store
        )
    except KeyboardInterrupt:
        if store is not None:
            _say(
                f"nasdip: the store {store.folder} keeps what was trained; the same command goes on from there"
            )
        raise
    print(_summary(run, arguments.out))
    return 0


def _summary(run: dict[str, Any], folder: Path) -> str:
    from nasdip_engine.report import figures_table

    final = run["final"]
    text = f"{folder / 'restored.png'}: "
    if final["held_out_psnr"] is None:
        text += "nothing was held out to measure it by"
    else:
        text += f"{final['held_out_psnr']:.2f} dB on held-out observations"
        if final["noise"]["corrected_psnr"] is not None:
            sigma, corrected = 255 * final["noise"]["sigma"], final["noise"]["corrected_psnr"]
            text += f", about {corrected:.1f} dB without their noise (sigma about {sigma:.1f})"
    if run["reference"]:
        decibels, similarity = run["reference"]["psnr"], run["reference"]["ssim"]
        shown = "equal to" if decibels is None else f"{decibels:.2f} dB PSNR against"
        text += f"; {shown} the reference, {similarity:.4f} SSIM"
        text += f", {run['reference']['lpips']:.4f} LPIPS"
    return "\n".join(filter(None, (text, figures_table(run))))


def _refuse_beside_like(arguments: argparse.Namespace) -> None:
    """--like brings everything: what else is given would be ignored without a word."""
    own = ("like", "genome", "reference", "command", "picture", "store", "no_store")
    for name, value in vars(arguments).items():
        absent = False if name == "invert_mask" else None  # 0 and --no-refit are values
        if name not in own and value is not absent:
            option = f"--no-{name}" if name == "refit" and not value else f"--{name.replace('_', '-')}"
            raise InvalidInput(f"{option} cannot be given beside --like, which brings its own")


def _evaluate(arguments: argparse.Namespace) -> int:
    from nasdip_engine import local_run, question

    if (arguments.like is None) == (arguments.picture is None):
        raise InvalidInput("name either --like DIR or a PICTURE with --task")
    if arguments.like is not None:
        _refuse_beside_like(arguments)
    elif arguments.task is None:
        raise InvalidInput("--task is missing: one of " + ", ".join(kind.value for kind in TaskKind))
    Genome.parse(arguments.genome)  # one that describes no network is fine: its fitness is 0
    asked = question.from_run(arguments.like) if arguments.like else question.from_arguments(arguments)
    question.check_genome_belongs(arguments.genome, asked)
    clean = question.read_reference(arguments.reference, asked)
    store = store_commands.store_of(arguments)
    for line in asked.notes:
        _say(line)
    answer = local_run.evaluate_one(asked, arguments.genome, reference=clean, store=store, say=_say)
    print(json.dumps(answer))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from nasdip_engine import reproduce

    verdict = reproduce.verify(arguments.run, search=arguments.search, say=_say)
    print(verdict.sentence)
    return 0 if verdict.equal else 1


def _describe(arguments: argparse.Namespace) -> int:
    from nasdip_engine.price import described

    print(json.dumps(described(arguments.genome, arguments.size, arguments.input_channels)))
    return 0


def _store(arguments: argparse.Namespace) -> int:
    try:
        code = store_commands.run(arguments, print, _say)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `nasdip store ls | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


_COMMANDS = {
    "restore": _restore,
    "evaluate": _evaluate,
    "verify": _verify,
    "describe": _describe,
    "store": _store,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 could not go on or not equal, 2 bad input, 130 interrupted.

    Ended by another signal than Ctrl-C's the code is 128 and its number.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0] in _LAUNCHED:  # whatever options follow are the launcher's
        _say(f"nasdip: `{given[0]}` is started by the launcher: ./nasdip {shlex.join(given)}")
        return 2
    arguments = _parser().parse_args(given)
    command = _COMMANDS[arguments.command]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that a terminal can't write
    try:
        with ended_as_by_hand():
            return command(arguments)
    except InvalidInput as problem:
        _say(f"nasdip: {problem}")
        return 2
    except NasDipError as problem:
        _say(f"nasdip: {problem}")
        return 1
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        _say(f"nasdip: {where}{problem.strerror or problem}")
        return 1
    except KeyboardInterrupt as interrupt:
        _say("nasdip: interrupted; no result was kept")
        return 128 + (interrupt.number if isinstance(interrupt, EndedBySignal) else signal.SIGINT)
