"""`python -m gpu_worker`: a worker; with Redis a Celery worker, without it one that looks each second."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from types import FrameType

from celery import signals
from celery.worker import state as celery_state
from django.conf import settings

from gpu_worker.app import app  # first: sets Django up
from gpu_worker.batch import Service, start_service
from gpu_worker.heartbeat import start_threads
from gpu_worker.shares import Shares
from nasdip_engine.devices import memory_bytes
from nasdip_engine.guard import Host, Limits
from webapp.restorations import workers

logger = logging.getLogger("gpu_worker")

GIVE_BACK_SECONDS = 3.0
MESSAGES_AT_ONCE = 8
"""A message takes milliseconds, yet Celery without prefetching reads about so many a second: as a sweep sends."""


def main() -> int:
    """Run until SIGTERM or SIGINT, or until the evaluator or its device turn out broken (status 1).

    Then give the leases back and end within seconds.
    """
    environment = settings.ENVIRONMENT
    name = environment.worker_name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    memory = environment.memory_bytes or int(0.8 * memory_bytes() / environment.slots)
    limits = Limits(heartbeat=environment.heartbeat_seconds, memory_bytes=memory)
    host = Host("evaluator", limits=limits, device=environment.device)
    # What is set by hand is meant for one evaluation, however large; of a GPU's memory the model says nothing.
    several = not environment.memory_bytes and environment.device == "cpu"
    shares = Shares(environment.slots, memory, several=several)
    service = Service(name, environment.slots, host, shares, environment.device)
    start_service(service)
    logger.info("worker %s: %d slots, %s", name, service.slots, "Redis" if settings.REDIS_URL else "no Redis")
    threading.Thread(target=service.warm_up, name="warm-up", daemon=True).start()
    start_threads(service)
    if settings.REDIS_URL:
        _consume(service)
    else:
        _wait_for_signal(service)
    return _end(service, host)


def _consume(service: Service) -> None:
    """Be a Celery worker in this process until it is told to end."""
    signals.worker_shutting_down.connect(lambda **_: service.stop(), weak=False)
    threading.Thread(target=_end_celery, args=(service,), name="end", daemon=True).start()
    worker = app.Worker(
        hostname=f"{service.name}@{socket.gethostname()}",
        pool_cls="threads",
        concurrency=MESSAGES_AT_ONCE,
        loglevel="INFO",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    if worker.exitcode:
        logger.error("Celery ended with status %s", worker.exitcode)


def _end_celery(service: Service) -> None:
    """Let Celery end when the service took itself out; its loops look at this, also while Redis is away."""
    service.stopping.wait()
    if service.out_of_service:
        celery_state.should_stop = 1


def _wait_for_signal(service: Service) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        service.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not service.stopping.wait(60):
        pass


def _end(service: Service, host: Host) -> int:
    service.stop()
    idle = service.wait_idle(GIVE_BACK_SECONDS)
    host.close()
    if not idle:
        logger.warning("a slot did not end in time; its lease runs out by itself")
    workers.gone(service.name)
    logger.info("worker %s ended", service.name)
    return 1 if service.out_of_service else 0


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    sys.stderr.flush()
    # Threads that still wait for a dead host or database must not keep the process.
    os._exit(status)
