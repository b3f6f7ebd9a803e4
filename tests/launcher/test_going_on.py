"""Jobs and their tellers outlive a stop, a restart and a killed web server."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.launcher.client import Client
from tests.launcher.conftest import Undisturbed
from tests.launcher.instance import Instance
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

SLOWLY = {"NASDIP_EVALUATOR_HOOK": "sleep:0.05"}
"""A pause in each iteration, so that there is a middle of the job to hit; it changes no bit."""


def numbered_without_a_hole(client: Client, job: str) -> bool:
    numbers = [event["number"] for event in client.events(job)]
    assert numbers == list(range(1, client.call("GET", f"jobs/{job}")["last_event"] + 1))
    return True


def test_a_job_goes_on_at_the_second_start(data: Path, undisturbed: Undisturbed) -> None:
    first = Instance(data, "--no-sample", **SLOWLY).wait_until_up()
    try:
        client = first.client()
        job = client.submit()
        client.wait_until_fitting(job)
        known = client.events(job)
    finally:
        assert first.stop() == 0
    # As if it had been the sample, which takes minutes: this start is to tell how it ended, in one line.
    (data / "sample.json").write_text(json.dumps({"job": job}))

    again = Instance(data, port=first.port).wait_until_up()
    try:
        client = again.client()
        assert client.wait_until_done(job) == undisturbed.outcome
        assert client.events(job)[: len(known)] == known
        assert numbered_without_a_hole(client, job)
        assert not any(event["kind"] == "fault" for event in client.events(job)), "given back is no fault"
        again.wait_until_it_says("The sample is restored in", 10)
        (line,) = [line for line in again.said().splitlines() if line.startswith("The sample")]
        best = client.call("GET", f"jobs/{job}")["best_fitness"]
        assert f"best fitness {best:.4f}. Before and after: {again.url}jobs/{job}/" in line
        wait_for(
            lambda: json.loads((data / "sample.json").read_text()) == {"job": job, "told": True},
            5,
            "the sample to be remembered as told",
        )
        assert [each["id"] for each in client.call("GET", "jobs")["jobs"]] == [job]
    finally:
        again.stop()


def test_a_job_goes_on_while_the_web_server_is_killed(data: Path, undisturbed: Undisturbed) -> None:
    instance = Instance(data, "--no-sample", **SLOWLY).wait_until_up()
    try:
        client = instance.client()
        job = client.submit()
        client.wait_until_fitting(job)
        before = instance.child("uvicorn")
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: instance.child("uvicorn") != before, 30, "another web server")
        wait_for(instance.answers, 60, "the site to answer again")
        assert client.wait_until_done(job) == undisturbed.outcome
        assert numbered_without_a_hole(client, job)
        assert "web ended (signal SIGKILL); starting it again" in instance.said()
    finally:
        instance.stop()


def test_an_empty_instance_restores_the_sample_and_remembers_it(data: Path) -> None:
    first = Instance(data).wait_until_up()
    try:
        first.wait_until_it_says("A sample picture is being restored meanwhile: ", 30)
        client = first.client()
        (job,) = client.call("GET", "jobs")["jobs"]
        assert (job["task"], job["preset"], job["name"]) == ("denoise", "preview", "Sample: remove noise")
        assert json.loads((data / "sample.json").read_text()) == {"job": job["id"]}
        address = f"{first.url}jobs/{job['id']}/"
        assert f"A sample picture is being restored meanwhile: {address}\n" in first.said()
        assert first.answers(), "the first page is usable meanwhile"
    finally:
        first.stop()

    again = Instance(data, port=first.port).wait_until_up()
    try:
        again.wait_until_it_says(address, 30)
        client = again.client()
        (same,) = client.call("GET", "jobs")["jobs"]
        assert same["id"] == job["id"]
        assert same["state"] in {"queued", "running", "finishing"}
        # Its end would take minutes, and is told by the same line as any other end.
        client.call("POST", f"jobs/{job['id']}/cancel")
        again.wait_until_it_says(f"The sample ended as cancelled: no reason given. {address}\n", 30)
        wait_for(
            lambda: json.loads((data / "sample.json").read_text()).get("told"), 5, "the end to be remembered"
        )
    finally:
        again.stop()
