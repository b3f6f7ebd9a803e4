"""Every NASDIP_* variable of the site and its workers, read once, typed, and refused with a sentence that names it.

All have defaults: the settings import with an empty environment. Read elsewhere, because that is needed before
or without Django's settings: NASDIP_VENV and NASDIP_TORCH_INDEX (the launcher), NASDIP_EVALUATOR_HOOK (evaluator
processes), NASDIP_EVALUATOR (how those come by their children), NASDIP_TETHER_FD (between supervisor and child).
`nasdip up` and the containers' health check look at a few of these variables beforehand, to lay the environment of
what they start or ask. docs/operations.md lists all of them.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from nasdip_engine.errors import SettingsError
from nasdip_engine.guard_mode import mode_for

__all__ = ["Environment", "database_settings", "secret_key"]

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


@dataclass(frozen=True)
class Environment:
    """What the environment says, checked."""

    data: Path
    """Folder of the database, the stored files and the secret key."""
    database_url: str
    """`sqlite:///FILE` or `postgresql://user:password@host:port/name`."""
    redis_url: str
    """`redis://...`, `rediss://...` or `redis+socket:///FILE`; empty: workers and sockets poll."""
    secret_key: str
    debug: bool
    allowed_hosts: tuple[str, ...]
    trusted_origins: tuple[str, ...]
    path_prefix: str
    """`/restoration`, without a slash at the end; empty at the root of a host."""
    secure: bool
    """Behind a proxy that ends TLS and sets X-Forwarded-Proto: cookies are sent over https only."""
    sign_up_open: bool
    slots: int
    """Evaluations at once in one worker process."""
    device: str
    """What a worker computes on, cpu or cuda: it takes the jobs whose settings ask for that."""
    worker_name: str
    lease_seconds: float
    """A lease that is not extended for so long is handed out again."""
    heartbeat_seconds: float
    """The least time without an iteration after which an evaluation counts as hanging."""
    memory_bytes: int
    """Resident memory that one evaluation may use; 0: its share of the machine's memory."""

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Environment:
        """Read `environ` (the process environment by default); raises ImproperlyConfigured."""
        env = os.environ if environ is None else environ
        data = Path(env.get("NASDIP_DATA") or _default_data(env)).expanduser().absolute()
        database = env.get("NASDIP_DATABASE_URL") or f"sqlite:///{quote(str(data / 'nasdip.sqlite3'))}"
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(
            data=data,
            database_url=database,
            redis_url=_redis(env.get("NASDIP_REDIS_URL", "").strip()),
            secret_key=env.get("NASDIP_SECRET_KEY", ""),
            debug=_flag(env, "NASDIP_DEBUG"),
            allowed_hosts=_words(env, "NASDIP_ALLOWED_HOSTS") or ("localhost", "127.0.0.1", "[::1]"),
            trusted_origins=_origins(env),
            path_prefix=_prefix(env.get("NASDIP_PATH_PREFIX", "").strip()),
            secure=_flag(env, "NASDIP_SECURE"),
            sign_up_open=_choice(env, "NASDIP_SIGN_UP", ("open", "closed"), "open") == "open",
            slots=int(_number(env, "NASDIP_SLOTS", cores, 1, 256)),
            device=_device(env),
            worker_name=env.get("NASDIP_WORKER_NAME", "").strip(),
            lease_seconds=_number(env, "NASDIP_LEASE_SECONDS", 30, 2, 3600),
            heartbeat_seconds=_number(env, "NASDIP_HEARTBEAT_SECONDS", 60, 1, 3600),
            memory_bytes=int(_number(env, "NASDIP_MEMORY_MB", 0, 0, 4_000_000)) << 20,
        )


def _default_data(env: Mapping[str, str]) -> str:
    home = env.get("HOME") or str(Path.home())
    return str(Path(env.get("XDG_DATA_HOME") or f"{home}/.local/share") / "nasdip")


def _flag(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "")
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {text!r}; it must be 1 or 0.")


def _choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    word = env.get(name, "").strip().lower() or default
    if word not in allowed:
        raise ImproperlyConfigured(f"{name} is {word!r}; it must be one of {', '.join(allowed)}.")
    return word


def _device(env: Mapping[str, str]) -> str:
    device = _choice(env, "NASDIP_DEVICE", ("cpu", "cuda"), "cpu")
    try:
        mode_for(device, env)
    except SettingsError as error:
        raise ImproperlyConfigured(f"{error}.") from error
    return device


def _number(env: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ImproperlyConfigured(f"{name} is {text!r}; it must be a number from {least:g} to {most:g}.")
    return value


def _words(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word for word in env.get(name, "").replace(",", " ").split() if word)


def _origins(env: Mapping[str, str]) -> tuple[str, ...]:
    origins = _words(env, "NASDIP_TRUSTED_ORIGINS")
    for origin in origins:
        if not origin.startswith(("http://", "https://")):
            raise ImproperlyConfigured(
                f"NASDIP_TRUSTED_ORIGINS holds {origin!r}; each origin begins with http:// or https://."
            )
    return origins


def _prefix(text: str) -> str:
    if text in ("", "/"):
        return ""
    if not text.startswith("/") or "//" in text or any(c.isspace() or c in "?#" for c in text):
        raise ImproperlyConfigured(f"NASDIP_PATH_PREFIX is {text!r}; it must look like /restoration.")
    return text.rstrip("/")


def _redis(url: str) -> str:
    if url.startswith("unix://"):
        url = "redis+socket://" + url.removeprefix("unix://")
    if url and not url.startswith(("redis://", "rediss://", "redis+socket:///")):
        raise ImproperlyConfigured(
            f"NASDIP_REDIS_URL ends in {url.rsplit('@', maxsplit=1)[-1]!r}; "  # never a password in a message
            "it must begin with redis://, rediss:// or unix:///."
        )
    return url


def database_settings(url: str, slots: int = 1) -> dict[str, object]:
    """Django's DATABASES entry for `url`.

    SQLite: IMMEDIATE transactions wait for their turn instead of failing at once ("database is locked"),
    FULL keeps a commit through a power cut; WAL is switched on once, by `migrate`.
    PostgreSQL: a pool, since connections that outlive a request leak under ASGI; each of a worker's `slots`
    keeps one, its other threads (leases, heartbeat, messages) take turns with eight more.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        file = Path("/" + unquote(parts.path).lstrip("/"))  # three slashes or four: both name the root
        if not parts.path or file.is_dir():
            raise ImproperlyConfigured(
                f"NASDIP_DATABASE_URL is {url!r}; it must name a file: sqlite:////DIR/FILE."
            )
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(file),
            "CONN_MAX_AGE": 0,
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA synchronous=FULL;",
            },
            # Threads share a database file; Django's in-memory default locks whole tables between them.
            "TEST": {"NAME": str(file.with_name("test-" + file.name))},
        }
    if parts.scheme in ("postgresql", "postgres"):
        query = dict(parse_qsl(parts.query))
        try:
            port = parts.port
        except ValueError:
            raise ImproperlyConfigured(
                "NASDIP_DATABASE_URL has no port that is a number after its host; "
                "characters like / ? # @ in a password are written %2F %3F %23 %40."
            ) from None
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")) or "nasdip",
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": query.pop("host", unquote(parts.hostname or "")),
            "PORT": query.pop("port", str(port or "")),
            "CONN_MAX_AGE": 0,
            "CONN_HEALTH_CHECKS": True,  # the pool hands out no connection that the server has cut
            "OPTIONS": {**query, "pool": {"min_size": 1, "max_size": max(20, slots + 8), "timeout": 20}},
        }
    shown = url.rsplit("@", maxsplit=1)[-1]  # never a password in a message
    raise ImproperlyConfigured(
        f"NASDIP_DATABASE_URL ends in {shown!r}; it must begin with sqlite:/// or postgresql://."
    )


def secret_key(environment: Environment) -> str:
    """NASDIP_SECRET_KEY, or the key kept in `DATA/secret.key` (made at the first start, mode 0600)."""
    if environment.secret_key:
        if len(environment.secret_key) < 32:
            raise ImproperlyConfigured("NASDIP_SECRET_KEY is shorter than 32 characters.")
        return environment.secret_key
    file = environment.data / "secret.key"
    try:
        if not file.exists():
            environment.data.mkdir(parents=True, exist_ok=True)
            draft = environment.data / f".secret.{secrets.token_hex(8)}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(secrets.token_urlsafe(48))
                stream.flush()
                os.fsync(stream.fileno())
            try:
                os.link(draft, file)  # of several processes that start together, the first one's key stays
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        key = file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"The secret key {file} can't be read or made ({error.strerror}); "
            "set NASDIP_DATA to a folder that can be written, or NASDIP_SECRET_KEY."
        ) from error
    if len(key) < 32:
        raise ImproperlyConfigured(
            f"The secret key in {file} is damaged; delete the file (everyone signs in again)."
        )
    return key
