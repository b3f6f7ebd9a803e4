"""The worker's own threads: its sign of life, the sweep, and the look that needs no message.

The sweep is the redelivery of the product: it hands out expired leases again, completes pauses, says "look"
for everything that waits.  One worker at a time does it (`turns`), and two at once would do no harm.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import threading
import time
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import Error as DatabaseError
from django.db import connections

from gpu_worker.batch import Service
from gpu_worker.finishing import drop_unused, record_discoveries
from webapp.pictures import storage
from webapp.restorations import files, leases, turns, workers

__all__ = ["start_threads", "tidy"]

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
POLL_SECONDS = 1.0
"""Without Redis: how often a free slot looks for work."""
POLL_WITH_REDIS_SECONDS = 10.0
"""With Redis a look comes by message; this catches the ones that were lost."""
TIDY_SECONDS = 3600.0
OLD_SECONDS = 86_400.0
"""Files without a row are left alone for a day: whoever writes one may still be about to refer to it."""


def start_threads(service: Service) -> None:
    """Start the sign of life, the tidying and one looking thread a slot; `service.stopping` ends them."""
    threading.Thread(target=_beat, args=(service,), name="heartbeat", daemon=True).start()
    threading.Thread(target=_tidy_hourly, args=(service,), name="tidy", daemon=True).start()
    interval = POLL_WITH_REDIS_SECONDS if settings.REDIS_URL else POLL_SECONDS
    for slot in range(service.slots):
        threading.Thread(target=_poll, args=(service, interval), name=f"slot-{slot}", daemon=True).start()


def _poll(service: Service, interval: float) -> None:
    while not service.stopping.is_set():
        try:
            service.drain()
        except Exception:
            logger.exception("a slot failed; it looks again soon")
        service.wait_for_look(interval)


def _beat(service: Service) -> None:
    token = secrets.token_hex(8)
    # A short lease needs a sweep as short, or nobody would notice in time that it ran out.
    pause = min(BEAT_SECONDS, settings.ENVIRONMENT.lease_seconds / 3)
    first = True
    while not service.stopping.is_set():
        try:
            workers.beat(
                service.name,
                pid=os.getpid(),
                slots=service.slots,
                fingerprint=service.fingerprint,
                device=service.device_class,
                abilities=service.abilities,
                first=first,
            )
            first = False
            if turns.claim("sweep", token, 2 * pause):
                _sweep()
        except (DatabaseError, OSError) as error:
            logger.warning("heartbeat: the database is away (%s)", error)
            connections.close_all()
        except Exception:
            # Without this thread nobody would sweep any more, and nothing else would tell.
            logger.exception("heartbeat: the sweep failed")
        service.stopping.wait(pause)
    connections.close_all()


def _sweep() -> None:
    lost = leases.sweep()
    if lost:
        logger.warning("%d leases ran out and are handed out again", lost)
    record_discoveries()
    workers.forget_old()


def _tidy_hourly(service: Service) -> None:
    """Tidy once an hour over all workers; apart from the heartbeat, which a full disk must not hold up."""
    while not service.stopping.is_set():
        try:
            # A new token each time: nobody keeps this turn, it is free again when the hour is over.
            if turns.claim("tidy", secrets.token_hex(8), TIDY_SECONDS):
                tidy()
        except (DatabaseError, OSError) as error:
            logger.warning("tidying put off (%s)", error)
        except Exception:
            logger.exception("tidying failed")
        finally:
            connections.close_all()
        service.stopping.wait(TIDY_SECONDS / 6)


def tidy() -> None:
    """Delete what is no longer needed: files without a row, scratch of killed workers, sessions that are over."""
    gone = files.delete_forgotten(OLD_SECONDS)
    if gone:
        logger.info("%d files that nothing referred to are deleted", gone)
    unused = drop_unused()
    if unused:
        logger.info("%d float pictures of jobs that have ended are deleted", unused)
    _clear_scratch(storage.scratch(""))
    call_command("clearsessions")


def _clear_scratch(folder: Path) -> None:
    """Files of workers that were killed while they wrote."""
    old = time.time() - OLD_SECONDS
    for file in folder.iterdir():
        if file.stat().st_mtime >= old:
            continue
        if file.is_dir():
            shutil.rmtree(file, ignore_errors=True)
        else:
            file.unlink(missing_ok=True)
