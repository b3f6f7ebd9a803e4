"""Users for operators, and API tokens: whose, since when, and a way to revoke them.  The digest is not shown."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from webapp.accounts.models import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    list_display = ("name", "user", "created", "revoked")
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    fields = ("name", "user", "created", "revoked")
    readonly_fields = fields
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    @admin.action(description="Revoke these tokens")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        count = queryset.filter(revoked__isnull=True).update(revoked=timezone.now())
        self.message_user(request, f"{count} tokens revoked.")


admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(UserAdmin):
    """Django's page of users.  Deleting one takes their pictures and restorations along."""

    def get_deleted_objects(
        self,
        objs: QuerySet[User] | Sequence[User],
        request: HttpRequest,  # noqa: ARG002
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What goes: the people by name, the rest counted; who gave verdicts stays, as those do.

        Django's own would list each row, and ask the pages of restorations, whose rows no hand may change, for a
        permission that nobody has.
        """
        people = [(one, one.pictures.count(), one.jobs.count()) for one in objs]
        listed = [
            f"{one}: {pictures} pictures, {jobs} restorations, and their files within a day"
            for one, pictures, jobs in people
        ]
        counts = {
            "users": len(people),
            "pictures": sum(pictures for _, pictures, _ in people),
            "restorations": sum(jobs for _, _, jobs in people),
        }
        reviewers = [
            f"{one} gave verdicts, which stay with their names: take 'Active' from this user instead"
            for one, _, _ in people
            if one.verdicts.exists()
        ]
        return listed, counts, set(), reviewers
