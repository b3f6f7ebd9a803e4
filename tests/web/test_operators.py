"""What operators do in Django's admin: sign in by the site's own door, delete a user with all that is theirs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.core.exceptions import ImmediateHttpResponse
from django.contrib.auth.models import User
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpResponse
from django.test import Client, RequestFactory

from webapp.accounts.sign_up import AccountAdapter
from webapp.architectures import discovery
from webapp.architectures.models import Discovery, Judgement, Verdict
from webapp.operations.access import settle
from webapp.pictures.models import Picture
from webapp.restorations.models import Job

pytestmark = pytest.mark.django_db
PASSWORD = "correct-horse-7"


@pytest.fixture(autouse=True)
def no_guesses_yet() -> None:
    cache.clear()


@pytest.fixture
def operator() -> User:
    return User.objects.create_superuser("operator", password=PASSWORD)


@pytest.fixture
def admin(operator: User) -> Client:
    opened = Client()
    opened.force_login(operator)
    return opened


def log_in(client: Client, password: str, forwarded: str = "", name: str = "operator") -> int:
    """The status of an attempt: 302 in, 200 refused."""
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    form = {"login": name, "password": password}
    return client.post("/accounts/login/", form, headers=headers).status_code


def test_the_admin_has_no_door_of_its_own(operator: User, alice: User) -> None:
    client = Client()
    for address in ("/admin/", "/admin/login/"):
        answer = client.get(address, follow=True)
        assert answer.redirect_chain[-1][0].startswith("/accounts/login/?next=")
    form = {"username": "operator", "password": PASSWORD}
    answer = client.post("/admin/login/", form)
    assert answer.status_code == 302 and "_auth_user_id" not in client.session
    assert log_in(client, PASSWORD) == 302
    assert client.get("/admin/").status_code == 200
    client.force_login(alice)
    assert client.get("/admin/", follow=True).status_code == 403
    alice.is_staff = True
    alice.save()
    client.force_login(alice)
    assert client.post("/admin/login/", form)["Location"] == "/admin/"
    assert client.session["_auth_user_id"] == str(alice.pk), "whoever is in can't try passwords either"


def test_guesses_are_counted_by_the_visitors_address(operator: User, settings: Any) -> None:
    client = Client()
    for number in range(10):
        log_in(client, "wrong", "8.8.8.8", f"guess-{number}")
    assert log_in(client, PASSWORD, "9.9.9.9") == 200, "no proxy is trusted: one address"
    cache.clear()
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for number in range(10):
        log_in(client, "wrong", "1.2.3.4, 8.8.8.8", f"guess-{number}")
    assert log_in(client, PASSWORD, "1.2.3.4, 8.8.8.8") == 200, "this address is shut out"
    assert log_in(client, PASSWORD, "8.8.8.8, 9.9.9.9") == 302, "and no other"


def test_an_operator_deletes_a_user_with_everything(admin: Client, alice: User, done_job: Job) -> None:
    discovery.record(done_job)
    found = Discovery.objects.count()
    assert found
    page = admin.get(f"/admin/auth/user/{alice.pk}/delete/").content.decode()
    assert "alice: 1 pictures, 1 restorations" in page
    answer = admin.post(f"/admin/auth/user/{alice.pk}/delete/", {"post": "yes"})
    assert answer.status_code == 302
    assert not User.objects.filter(pk=alice.pk).exists()
    assert not Picture.objects.exists() and not Job.objects.exists()
    assert Discovery.objects.filter(owner=None, job=None).count() == found, (
        "a network says nothing of the picture"
    )


def test_a_removed_owner_does_not_come_back_by_the_old_password(db: None, tmp_path: Path) -> None:
    before, fresh = settle(tmp_path, "http://127.0.0.1:8000")
    assert fresh
    again, fresh = settle(tmp_path, "http://127.0.0.1:8000")
    assert again == before and not fresh
    User.objects.filter(username=before.user).update(username="tobias")
    after, fresh = settle(tmp_path, "http://127.0.0.1:8000")
    assert fresh and after.password != before.password and after.token != before.token
    assert not User.objects.get(username=after.user).check_password(before.password)


def test_a_name_taken_meanwhile_leads_to_signing_in(db: None, rf: RequestFactory) -> None:
    request = rf.post("/accounts/signup/")
    SessionMiddleware(lambda _: HttpResponse()).process_request(request)
    MessageMiddleware(lambda _: HttpResponse()).process_request(request)
    form = SimpleNamespace(cleaned_data={"username": "anna", "password1": PASSWORD})
    adapter = AccountAdapter()
    adapter.save_user(request, User(), form)
    with pytest.raises(ImmediateHttpResponse) as second:
        adapter.save_user(request, User(), form)
    assert second.value.response["Location"] == "/accounts/login/"
    assert User.objects.filter(username="anna").count() == 1


def test_rows_of_a_newer_version_are_refused(db: None) -> None:
    MigrationRecorder(connection).record_applied("restorations", "9999_from_the_future")
    with pytest.raises(CommandError, match=r"newer version .*restorations\.9999_from_the_future"):
        call_command("migrate", interactive=False, verbosity=0)


def test_a_reviewer_with_verdicts_stays(admin: Client, bob: User, done_job: Job) -> None:
    discovery.record(done_job)
    judged = Discovery.objects.all()[0]
    Verdict.objects.create(discovery=judged, reviewer=bob, verdict=Judgement.APPROVE)
    page = admin.get(f"/admin/auth/user/{bob.pk}/delete/").content.decode()
    assert "bob gave verdicts" in page
    admin.post(f"/admin/auth/user/{bob.pk}/delete/", {"post": "yes"})
    assert User.objects.filter(pk=bob.pk).exists()


def test_rows_of_restorations_are_deleted_by_no_hand(admin: Client, job: Job) -> None:
    assert admin.post(f"/admin/restorations/job/{job.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Job.objects.filter(pk=job.pk).exists()
