"""What searches found is recorded once, and reviewers say what they think, a row a verdict."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.test import Client

from nasdip_engine.errors import InvalidInput
from nasdip_engine.evolution.search import is_starter
from nasdip_engine.genome.genome import Genome
from tests.web.cast import decoded, encoded, photograph
from tests.web.drive import SMALL, finish, queue
from webapp.architectures import discovery, review
from webapp.architectures.models import Discovery, Verdict
from webapp.architectures.review import NOTE_LENGTH, decide
from webapp.pictures.intake import store_picture
from webapp.restorations import control
from webapp.restorations.generations import history_of
from webapp.restorations.models import Job

pytestmark = pytest.mark.django_db


def test_the_best_distinct_networks_are_recorded_once(done_job: Job) -> None:
    rows = discovery.record(done_job)
    assert discovery.record(done_job) == rows
    assert Discovery.objects.count() == len(rows) == discovery.KEPT
    assert [row.rank for row in rows] == [1, 2, 3]
    assert rows[0].fitness == max(closed.best for closed in history_of(done_job)) == done_job.best_fitness
    assert [row.fitness for row in rows] == sorted((row.fitness for row in rows), reverse=True)
    assert len({row.phenotype_digest for row in rows}) == len(rows)
    for row in rows:
        assert Genome.parse(row.genome).phenotype().digest == row.phenotype_digest
        assert row.is_starter == is_starter(row.genome) and row.multiply_adds > 0 and row.task == "denoise"


def test_the_gain_is_over_the_best_starter_of_the_same_search(done_job: Job) -> None:
    evaluated = {
        genome: fitness
        for closed in history_of(done_job)
        for genome, fitness in zip(closed.generation.genomes, closed.fitness, strict=True)
    }
    best_starter = max(fitness for genome, fitness in evaluated.items() if is_starter(genome))
    for row in discovery.record(done_job):
        assert row.gain_over_starter == row.fitness - best_starter


def test_a_discovery_outlives_its_job(done_job: Job) -> None:
    rows = discovery.record(done_job)
    control.delete(done_job)
    kept = Discovery.objects.get(pk=rows[0].pk)
    assert kept.job is None and kept.genome == rows[0].genome


def test_each_verdict_is_a_row_and_the_last_one_counts(done_job: Job, reviewer: User) -> None:
    row = discovery.record(done_job)[0]
    assert review.discoveries(reviewer).get(pk=row.pk).latest_verdict is None
    review.decide(row, reviewer, "reject", "  too deep  ")
    review.decide(row, reviewer, "approve")
    assert review.discoveries(reviewer).get(pk=row.pk).latest_verdict == "approve"
    assert sorted(Verdict.objects.values_list("verdict", "note")) == [("approve", ""), ("reject", "too deep")]


def test_a_form_sent_twice_is_one_verdict(done_job: Job, reviewer: User) -> None:
    row = discovery.record(done_job)[0]
    once = review.decide(row, reviewer, "approve", "few skips")
    assert review.decide(row, reviewer, "approve", " few skips ") == once
    other = User.objects.create_user("carol", is_staff=True)
    review.decide(row, other, "approve", "few skips")
    review.decide(row, reviewer, "approve", "few skips")  # after another's it is said anew
    review.decide(row, reviewer, "approve", "fewer skips")
    assert row.verdicts.count() == 4


@pytest.mark.parametrize("representation", ["sym", "asym", "asymt"])
def test_the_page_shows_networks_of_every_representation_and_reduced_pictures(
    client: Client, alice: User, reviewer: User, representation: str
) -> None:
    large = store_picture(alice, encoded(photograph(900, 450)), "large.png")
    asked = SMALL | {"representation": representation, "units": 3, "tile": 1024}
    job = finish(queue(alice, large, overrides=asked, share=True))
    row = discovery.record(job)[0]
    assert row.genome.startswith(f"{representation}:3:")
    client.force_login(reviewer)
    page = client.get("/review/").content.decode()
    assert row.genome in page
    for address in set(re.findall(r'(?:src|srcset)="(/review/[^"]+)"', page)):
        assert client.get(address).status_code == 200, address
    answer = client.get(f"/review/jobs/{job.pk}/input.png")
    assert decoded(answer.content).shape == (320, 640, 3)
    assert "attachment" in answer["Content-Disposition"] and "sandbox" in answer["Content-Security-Policy"]
    again = client.get(f"/review/jobs/{job.pk}/input.png", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304


def test_a_note_has_the_length_that_the_form_counts(done_job: Job, reviewer: User) -> None:
    discovery.record(done_job)
    found = Discovery.objects.filter(job=done_job)[0]
    note = "line\r\n" * 399 + "12345"
    assert len(note.replace("\r\n", "\n")) == NOTE_LENGTH
    assert decide(found, reviewer, "approve", note).note == note.replace("\r\n", "\n")


def test_only_staff_judge(done_job: Job, alice: User) -> None:
    row = discovery.record(done_job)[0]
    with pytest.raises(PermissionDenied):
        review.decide(row, alice, "approve")
    with pytest.raises(PermissionDenied):
        review.discoveries(alice)
    assert not Verdict.objects.exists()


@pytest.mark.parametrize(
    ("verdict", "note", "field"), [("maybe", "", "verdict"), ("approve", "x" * 2001, "note")]
)
def test_a_verdict_that_is_none_is_refused(
    done_job: Job, reviewer: User, verdict: str, note: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        review.decide(discovery.record(done_job)[0], reviewer, verdict, note)
    assert refused.value.field == field


def test_the_admin_shows_rows_and_no_pictures(done_job: Job) -> None:
    discovery.record(done_job)
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    private = (
        done_job.picture.digest,
        done_job.picture.original_digest,
        done_job.name,
        ".png",
        "/api/",
    )
    seen = 0
    for app in ("accounts", "architectures", "pictures", "restorations"):
        for model in apps.get_app_config(app).get_models():
            if not site.is_registered(model):
                continue
            address = f"/admin/{app}/{model.__name__.lower()}/"
            pages = [client.get(address)]
            if row := model.objects.first():
                pages.append(client.get(f"{address}{row.pk}/change/"))
            for page in pages:
                assert page.status_code == 200, address
                for secret in private:
                    assert secret not in page.content.decode(), (address, secret)
            seen += len(pages)
    assert seen > 12
