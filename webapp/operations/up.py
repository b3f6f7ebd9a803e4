"""`nasdip up`: the whole site on this machine, under one process that leaves nothing behind.

In order: the data folder is locked and what must hold is checked; Redis is found or started; rows are
migrated; an owner has access; the workers and the web server start; once the site answers, its address is
printed. Then children are kept alive until Ctrl-C or SIGTERM. All state is in the data folder: the next start
goes on with every job.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from webapp.operations import sample
from webapp.operations.access import Access, chosen_folder, database_released, settle
from webapp.operations.broker import Broker, find_broker
from webapp.operations.here import open_here
from webapp.operations.preflight import Address, CannotStart, check_disk, check_port, data_folder, hold
from webapp.operations.supervisor import ChildPlan, Supervisor

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
ANSWER_WITHIN_S = 90.0
PREVIEW_SIDE = 256
"""Pixels a side of the picture that the machine's ability is told by."""


@dataclass(frozen=True)
class Options:
    address: Address
    data: Path
    workers: int
    opens_browser: bool
    restores_sample: bool


def say(text: str) -> None:
    print(text, flush=True)


def cores() -> int:
    """The cores that this process may use: a container or taskset may allow fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="nasdip up", description="Start the site, its workers and its queue here."
    )
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="data folder (default: NASDIP_DATA, else nasdip in XDG_DATA_HOME or ~/.local/share)",
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="worker processes, which share the cores (default: 1)"
    )
    parser.add_argument("--open", action="store_true", help="open the site in a browser")
    parser.add_argument(
        "--no-sample", action="store_true", help="don't restore a sample picture on an empty instance"
    )
    told = parser.parse_args(arguments)
    if not 1 <= told.port <= 65535:
        parser.error(f"--port {told.port}: it must be from 1 to 65535")
    if not 1 <= told.workers <= 64:
        parser.error(f"--workers {told.workers}: it must be from 1 to 64")
    data = chosen_folder(told.data)
    return Options(Address(told.host, told.port), data, told.workers, told.open, not told.no_sample)


def lay_environment(options: Options, data: Path, redis_url: str) -> None:
    """What every child is told, and this process before it reads Django's settings."""
    names = options.address.names()
    schemes = [f"http://{name}:{options.address.port}" for name in names]
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.config.settings"
    os.environ["NASDIP_DATA"] = str(data)
    os.environ["NASDIP_REDIS_URL"] = redis_url
    os.environ["NASDIP_ALLOWED_HOSTS"] = _joined(os.environ.get("NASDIP_ALLOWED_HOSTS"), names)
    os.environ["NASDIP_TRUSTED_ORIGINS"] = _joined(os.environ.get("NASDIP_TRUSTED_ORIGINS"), schemes)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.environ["PYTHONUNBUFFERED"] = "1"


def _joined(given: str | None, more: Sequence[str]) -> str:
    return ",".join(dict.fromkeys([*(given or "").replace(",", " ").split(), *more]))


def prepare_rows(data: Path, url: str, worker_names: Sequence[str]) -> tuple[Access, bool]:
    """Migrate, take back what workers of an earlier run held, and settle the owner's access."""
    import django
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import CommandError, call_command
    from django.db import Error

    try:
        django.setup()
        with database_released():
            call_command("migrate", interactive=False, verbosity=0)
            for name in worker_names:
                give_back(name)
            return settle(data, url)
    except (ImproperlyConfigured, CommandError) as error:
        raise CannotStart(str(error)) from error
    except Error as error:
        raise CannotStart(f"The database can't be used ({str(error).strip().splitlines()[0]}).") from error


def give_back(worker: str) -> None:
    """Give the leases of a worker that is gone back at once, by the sweep's own function, and forget its row."""
    from webapp.restorations import workers
    from webapp.restorations.leases import give_back_worker

    give_back_worker(worker)
    workers.gone(worker)


def mourn(worker: str) -> None:
    """`give_back` from the supervisor's thread;

    when the database fails, the sweep does it half a minute later.
    """
    from django.db import Error

    try:
        with database_released():
            give_back(worker)
    except Error as error:
        say(f"The leases of {worker} could not be given back at once ({error}); they run out by themselves.")


def slots_each(count: int, workers: int) -> int:
    """Evaluations at once in each of so many workers that share `count` cores."""
    return max(1, count // workers)


def worker_plans(count: int) -> list[ChildPlan]:
    slots = str(slots_each(cores(), count))
    plans = []
    for number in range(1, count + 1):
        name = f"{socket.gethostname()}-{number}"
        environ = {"NASDIP_WORKER_NAME": name, "NASDIP_SLOTS": slots}
        command = (sys.executable, "-m", "gpu_worker")
        plans.append(ChildPlan(f"worker-{number}", command, environ, after_death=partial(mourn, name)))
    return plans


def web_plan(address: Address) -> ChildPlan:
    options = ["--host", address.host, "--port", str(address.port), "--lifespan", "off", "--no-access-log"]
    options += ["--app-dir", str(ROOT)]
    options += ["--timeout-graceful-shutdown", "5", "--ws-max-size", str(1 << 16)]
    return ChildPlan("web", (sys.executable, "-m", "uvicorn", "webapp.config.asgi:application", *options), {})


def wait_until_it_answers(supervisor: Supervisor, url: str) -> None:
    """Keep the children going until the site answers; give up when the web server can't start."""
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while not supervisor.stopping:
        supervisor.tick()
        try:
            with open_here(f"{url}healthz", timeout=5):
                return
        except urllib.error.HTTPError as answer:
            if answer.code < 500:
                return
        except OSError:
            pass
        if supervisor.deaths("web") >= 3 or time.monotonic() > deadline:
            raise CannotStart(f"The web server does not start: {supervisor.log_tail('web')}")


def ability(count: int, workers: int) -> str:
    """What a machine of `count` cores can do, by the site's own guess before anything is measured on it."""
    from nasdip_engine.evolution.settings import settings_for
    from nasdip_engine.task import Task, TaskKind
    from webapp.restorations.estimates import guess

    slots = workers * slots_each(count, workers)
    task = Task(TaskKind.DENOISE)
    minutes = guess(settings_for("preview", task), task, PREVIEW_SIDE**2, min(count, slots)) / 60
    time_taken = "1 minute" if minutes < 1.5 else f"{minutes:.0f} minutes"
    several = "1 core" if count == 1 else f"{count} cores"
    return f"{several}, {slots} at once: a preview of {PREVIEW_SIDE} px in about {time_taken} (an estimate)"


def announce(access: Access, is_new: bool, data: Path, broker: Broker, options: Options) -> None:
    if is_new:
        password = f"{access.password}   (shown this once; kept in {data / 'access.json'})"
    else:
        password = (
            f"as before (kept in {data / 'access.json'}; a new one: ./nasdip user {access.user} --reset)"
        )
    say(
        f"\nNAS-DIP Studio is up.\n  address   {access.url}\n"
        f"  user      {access.user}\n  password  {password}"
    )
    say(
        f"  data      {data}\n  machine   {ability(cores(), options.workers)}\n  queue     {broker.description}"
    )
    if not options.address.is_loopback:
        if os.environ.get("NASDIP_SIGN_UP", "").strip().lower() == "closed":
            say("  network   others on the network reach this site; sign-up is closed")
        else:
            say("  network   sign-up is open to everyone on the network (NASDIP_SIGN_UP=closed closes it)")
    say("  stop      Ctrl-C; every job goes on at the next start\n")


def run(options: Options) -> None:
    os.umask(0o077)  # rows, pictures and logs are for this user alone
    data = data_folder(options.data)
    with ExitStack() as stack:
        stack.enter_context(hold(data))
        check_port(options.address)
        check_disk(data)
        supervisor = Supervisor(data / "logs", say)
        supervisor.listen()
        stack.callback(supervisor.stop)
        broker = find_broker(data, supervisor, stack)
        lay_environment(options, data, broker.url)
        prefix = os.environ.get("NASDIP_PATH_PREFIX", "").strip().rstrip("/")
        url = f"{options.address.origin}{prefix}/"
        workers = worker_plans(options.workers)
        access, is_new = prepare_rows(data, url, [plan.environ["NASDIP_WORKER_NAME"] for plan in workers])
        for plan in (web_plan(options.address), *workers):
            supervisor.start(plan)
        wait_until_it_answers(supervisor, url)
        if supervisor.stopping:
            return
        announce(access, is_new, data, broker, options)
        if options.restores_sample:
            sample.start(data, access, url.rstrip("/"), say)
        if options.opens_browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        supervisor.run()
        say("Stopping: evaluations under way are given back, nothing is lost.")


def main(arguments: Sequence[str]) -> int:
    try:
        run(parse(arguments))
    except CannotStart as refusal:
        print(f"nasdip: {refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the supervisor listens: nothing was started yet
        return 130
    except OSError as error:
        what = f" ({error.filename})" if error.filename else ""
        print(
            f"nasdip: {error.strerror or error}{what}; nothing is lost, start again once that is mended.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
