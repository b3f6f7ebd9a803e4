"""What the site and the workers must agree on about Celery over Redis.

A message only says "look": the rows hold the work, leases and the sweep are the redelivery.  Hence early
acknowledgement, no prefetching (celery 5.7 ends when Redis goes away under a worker that holds an
unacknowledged message), no result backend, and messages that expire.
"""

from __future__ import annotations

from celery import Celery

__all__ = ["LOOK", "celery_app", "channel_host"]

LOOK = "gpu_worker.run_batch"
"""Name of the one task; the site sends it by name and never imports the worker."""


def celery_app(redis_url: str) -> Celery:
    """The Celery application over `redis_url`."""
    app = Celery("nasdip", broker=redis_url, set_as_current=False)
    app.conf.update(
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": 300,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "socket_timeout": 30,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
        },
        accept_content=["json"],
        task_serializer="json",
        task_acks_late=False,
        task_ignore_result=True,
        task_default_queue="nasdip",
        worker_pool="threads",
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
    )
    return app


def channel_host(redis_url: str) -> str:
    """The same Redis as channels-redis names it (`unix://` where Celery says `redis+socket://`)."""
    if redis_url.startswith("redis+socket://"):
        return "unix://" + redis_url.removeprefix("redis+socket://").split("?")[0]
    return redis_url
