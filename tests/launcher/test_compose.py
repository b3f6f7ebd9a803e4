"""The containers are described, never run here: so their descriptions are held to what `nasdip up` runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.launcher.instance import ROOT
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


def test_settings_take_the_environment_of_the_containers(compose: dict[str, Any]) -> None:
    from webapp.config.environment import Environment, database_settings

    filled = {
        name: re.sub(
            r"\$\{([A-Z_]+)(:[-?]([^}]*))?\}",
            lambda m: filling(m.group(1), m.group(2), m.group(3)),
            str(value),
        )
        for name, value in compose["services"]["worker"]["environment"].items()
    }
    environment = Environment.read(filled)
    assert database_settings(environment.database_url)["HOST"] == "database"
    assert environment.redis_url == "redis://redis:6379/0"
    assert not environment.sign_up_open
    assert environment.slots >= 1


def filling(name: str, rule: str | None, default: str | None) -> str:
    """What compose puts for ${name}: a value where one is demanded, else the default."""
    return f"{name.lower()}-{'0' * 40}" if rule is not None and rule.startswith(":?") else default or ""


@pytest.mark.parametrize("name", ["web", "worker"])
def test_dockerfiles_are_linted(name: str) -> None:
    program = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run([program, DOCKERFILES[name]], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout == ""
