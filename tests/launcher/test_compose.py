"""The containers are described, never run here: so their descriptions are held to what `nasdip up` runs, and
their commands do a job with their environment, on PostgreSQL and Redis."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.launcher.client import Client
from tests.launcher.conftest import Undisturbed
from tests.launcher.instance import ROOT, free_port, launcher_environment
from tests.servers import tethered
from tests.waiting import wait_for
from webapp.operations.preflight import Address
from webapp.operations.up import web_plan, worker_plans

DOCKERFILES = {"web": ROOT / "docker/web.Dockerfile", "worker": ROOT / "docker/worker.Dockerfile"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of a Dockerfile, continuation lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILES[name].read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(word, " ".join(rest.split())) for word, rest in lines]


def command(name: str) -> list[str]:
    (last,) = [arguments for word, arguments in instructions(name) if word == "CMD"]
    parsed = yaml.safe_load(last)
    assert isinstance(parsed, list), "the exec form, so that signals reach the program"
    return [str(word) for word in parsed]


def test_the_web_image_runs_the_command_of_up() -> None:
    ours = list(web_plan(Address("0.0.0.0", 8000)).command[1:])
    assert command("web") == ["python", *(word.replace(str(ROOT), "/app") for word in ours)]


def test_the_worker_image_runs_the_command_of_up() -> None:
    (plan,) = worker_plans(1)
    assert command("worker") == ["python", *plan.command[1:]]


def test_the_web_image_has_no_torch() -> None:
    text = " ".join(arguments for _, arguments in instructions("web"))
    assert "torch" not in text
    assert not re.search(
        r"^(torch|torchvision|nvidia)", (ROOT / "requirements/base.txt").read_text(), re.MULTILINE
    )


@pytest.mark.parametrize("name", ["web", "worker"])
def test_images_run_as_nobody_special_and_know_their_health(name: str) -> None:
    words = [word for word, _ in instructions(name)]
    assert ("USER", "10001") in instructions(name)
    assert words.index("USER") < words.index("CMD")
    assert "HEALTHCHECK" in words
    assert not any(arguments.endswith(":latest") for word, arguments in instructions(name) if word == "FROM")


@pytest.mark.parametrize("name", ["web", "worker"])
def test_everything_that_is_copied_is_there_and_not_ignored(name: str) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for word, arguments in instructions(name):
        if word == "COPY":
            for source in arguments.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(Path(source).match(pattern) for pattern in allowed), source


def test_services_wait_for_what_they_need(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"database", "redis", "migrate", "web", "worker"}
    for name in ("web", "worker"):
        needs = services[name]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully"
        assert needs["redis"]["condition"] == "service_healthy"
        assert services[name]["volumes"] == ["files:/data"]
    assert "healthcheck" in services["database"]
    assert "healthcheck" in services["redis"]


def test_secrets_come_from_the_environment_alone(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in (service.get("environment") or {}).items():
            if "SECRET" in name or "PASSWORD" in name or "DATABASE_URL" in name:
                assert "${" in value
                assert ":?" in value


def test_the_site_is_open_to_this_machine_only(compose: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in compose["services"]["web"]["ports"])
    assert "ports" not in compose["services"]["database"]
    assert "ports" not in compose["services"]["redis"]


def filled(compose: dict[str, Any]) -> dict[str, str]:
    """The environment of a container, as compose makes it."""
    return {
        name: re.sub(
            r"\$\{([A-Z_]+)(:[-?]([^}]*))?\}",
            lambda m: filling(m.group(1), m.group(2), m.group(3)),
            str(value),
        )
        for name, value in compose["services"]["worker"]["environment"].items()
    }


def test_settings_take_the_environment_of_the_containers(compose: dict[str, Any]) -> None:
    from webapp.config.environment import Environment, database_settings

    environment = Environment.read(filled(compose))
    assert database_settings(environment.database_url)["HOST"] == "database"
    assert environment.redis_url == "redis://redis:6379/0"
    assert not environment.sign_up_open
    assert environment.slots >= 1


def filling(name: str, rule: str | None, default: str | None) -> str:
    """What compose puts for ${name}: a value where one is demanded, else the default."""
    return f"{name.lower()}-{'0' * 40}" if rule is not None and rule.startswith(":?") else default or ""


class Containers:
    """What compose would run, run without containers: the same commands with the same environment."""

    def __init__(self, environment: dict[str, str], logs: Path) -> None:
        self._environment = launcher_environment(PYTHONPATH=str(ROOT), **environment)
        self._logs = logs
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *replaced: tuple[str, str]) -> None:
        """The command of that image, some of its words replaced."""
        words = [dict(replaced).get(word, word) for word in command(name)]
        with (self._logs / name).open("wb") as log:
            started = subprocess.Popen(
                tethered([sys.executable, *words[1:]]),
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running.append(started)

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=self._environment | more,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def is_well(self, *what: str) -> bool:
        return self.run("-m", "webapp.operations.health_check", *what).returncode == 0

    def stop(self) -> list[int]:
        """SIGTERM to all, as `docker compose stop` does; their exit codes."""
        for process in self._running:
            process.terminate()
        return [process.wait(15) for process in self._running]


@pytest.mark.slow
@pytest.mark.postgres
def test_the_commands_of_the_containers_do_a_job_on_postgresql(
    compose: dict[str, Any], postgres_url: str, redis_url: str, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    port = str(free_port())
    containers = Containers(
        filled(compose)
        | {
            "NASDIP_DATABASE_URL": postgres_url,
            "NASDIP_REDIS_URL": redis_url,
            "NASDIP_DATA": str(tmp_path / "data"),
            "NASDIP_ALLOWED_HOSTS": "photos.example,127.0.0.1",
        },
        tmp_path,
    )
    migrated = containers.run(*compose["services"]["migrate"]["command"][1:])
    assert migrated.returncode == 0, migrated.stderr
    made = containers.run(
        *("manage.py", "createsuperuser", "--no-input", "--username", "owner", "--email", "o@photos.example"),
        DJANGO_SUPERUSER_PASSWORD="a long password",
    )
    assert made.returncode == 0, made.stderr
    issue = "from django.contrib.auth.models import User\nfrom webapp.accounts import tokens\n"
    issue += "print(tokens.issue(User.objects.get(), 'test'))"
    token = containers.run("manage.py", "shell", "--command", issue).stdout.split()[-1]
    try:
        assert not containers.is_well("web", port)
        assert not containers.is_well("worker")
        containers.start("worker")
        containers.start("web", ("0.0.0.0", "127.0.0.1"), ("8000", port), ("/app", str(ROOT)))
        wait_for(lambda: containers.is_well("web", port), 60, f"the web server to be well; see {tmp_path}")
        client = Client(f"http://127.0.0.1:{port}/", token)
        assert client.wait_until_done(client.submit()) == undisturbed.outcome
        assert containers.is_well("worker")
    finally:
        codes = containers.stop()
    assert codes == [0, -signal.SIGTERM], "uvicorn hands the signal on to itself when it has ended its work"
    assert not containers.is_well("worker")


@pytest.mark.parametrize("name", ["web", "worker"])
def test_dockerfiles_are_linted(name: str) -> None:
    program = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run([program, DOCKERFILES[name]], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout == ""
