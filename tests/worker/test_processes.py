"""What a fresh process loads, reads from its environment and refuses."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from webapp.config.broker import celery_app, channel_host
from webapp.config.environment import Environment, database_settings, secret_key

ROOT = Path(__file__).resolve().parent.parent.parent


def fresh(code: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with nothing but a home and the given variables."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "module", ["webapp.config.asgi", "gpu_worker.batch", "gpu_worker.__main__", "gpu_worker.tasks"]
)
def test_web_and_worker_load_no_torch(module: str, tmp_path: Path) -> None:
    code = f"import sys; import gpu_worker.app, {module}; print('torch' in sys.modules, {module!r} in sys.modules)"
    ran = fresh(code, tmp_path)
    assert ran.stdout.split() == ["False", "True"], ran.stderr


def test_the_web_process_does_not_load_the_worker(tmp_path: Path) -> None:
    ran = fresh(
        "import sys, webapp.config.asgi; print([m for m in sys.modules if 'gpu_worker' in m])", tmp_path
    )
    assert ran.stdout.strip() == "[]", ran.stderr


def test_the_settings_import_with_an_empty_environment(tmp_path: Path) -> None:
    ran = fresh("from webapp.config import settings; print(settings.DATA_DIR, settings.DEBUG)", tmp_path)
    assert ran.stdout.split() == [f"{tmp_path}/.local/share/nasdip", "False"], ran.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NASDIP_DEBUG", "perhaps"),
        ("NASDIP_SECURE", "2"),
        ("NASDIP_SIGN_UP", "sometimes"),
        ("NASDIP_SLOTS", "0"),
        ("NASDIP_SLOTS", "many"),
        ("NASDIP_LEASE_SECONDS", "nan"),
        ("NASDIP_DEVICE", "tpu"),
        ("NASDIP_EVALUATOR", "spawn"),
        ("NASDIP_PATH_PREFIX", "restoration"),
        ("NASDIP_PATH_PREFIX", "/a b"),
        ("NASDIP_REDIS_URL", "localhost:6379"),
        ("NASDIP_TRUSTED_ORIGINS", "example.org"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        Environment.read({name: value})
    assert name in str(refusal.value)
    assert value in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    ["mysql://user:secret@host/name", "sqlite:///", "nonsense", "postgresql://user:secret/part@host/name"],
)
def test_a_wrong_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="NASDIP_DATABASE_URL") as refusal:
        database_settings(url)
    assert "secret" not in str(refusal.value)


def test_a_wrong_redis_is_refused_without_its_password() -> None:
    with pytest.raises(ImproperlyConfigured, match="NASDIP_REDIS_URL") as refusal:
        Environment.read({"NASDIP_REDIS_URL": "valkey://:secret@host:6379/0"})
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("folder", ["/data/C# work/one", "/data/what?/one", "/data/100%25", "/data/20%20off"])
def test_the_database_lies_in_the_data_folder_whatever_its_name(folder: str) -> None:
    environment = Environment.read({"NASDIP_DATA": folder})
    assert database_settings(environment.database_url)["NAME"] == f"{folder}/nasdip.sqlite3"


def test_databases_wait_for_their_turn() -> None:
    sqlite = database_settings("sqlite:////data/nasdip.sqlite3")
    assert sqlite["NAME"] == "/data/nasdip.sqlite3"
    assert sqlite["OPTIONS"] == {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA synchronous=FULL;",
    }
    postgres = database_settings("postgresql://nas%20dip:p%40ss@db:5433/restorations")
    assert [postgres[key] for key in ("USER", "PASSWORD", "HOST", "PORT", "NAME", "CONN_MAX_AGE")] == [
        "nas dip",
        "p@ss",
        "db",
        "5433",
        "restorations",
        0,
    ]


def test_each_slot_of_a_worker_has_its_connection() -> None:
    for slots, most in ((1, 20), (64, 72)):
        pool = database_settings("postgresql://host/name", slots)["OPTIONS"]["pool"]  # type: ignore[index]
        assert pool["max_size"] == most


def test_the_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    environment = Environment.read({"NASDIP_DATA": str(tmp_path / "data")})
    key = secret_key(environment)
    assert secret_key(environment) == key
    assert stat.S_IMODE((tmp_path / "data" / "secret.key").stat().st_mode) == 0o600
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["secret.key"]


def test_one_redis_is_named_as_each_library_wants_it() -> None:
    environment = Environment.read({"NASDIP_REDIS_URL": "unix:///run/redis.sock"})
    assert environment.redis_url == "redis+socket:///run/redis.sock"
    assert channel_host(environment.redis_url) == "unix:///run/redis.sock"
    assert channel_host("redis://host:6379/1") == "redis://host:6379/1"


def test_messages_are_acknowledged_early_and_never_prefetched() -> None:
    settings = celery_app("redis://localhost:6379/0").conf
    assert not settings.task_acks_late
    assert settings.worker_disable_prefetch
    assert settings.worker_pool == "threads"
    assert settings.task_ignore_result
    assert settings.result_backend is None
    assert settings.accept_content == ["json"]
