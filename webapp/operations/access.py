"""`DATA/access.json`: how the person who runs this instance reaches it. Mode 0600, kept over restarts.

Keys: `url`, `user`, `password`, `token`. The file is the only place where the password and the token are kept
as text. A user who changes the password on the site makes the one in the file void, which is then left empty;
a user or a token that is gone is made anew, the user with another password.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = [
    "OWNER",
    "Access",
    "chosen_folder",
    "database_released",
    "new_password",
    "new_token",
    "reset_password",
    "settle",
]

OWNER = "owner"
TOKEN_NAME = "access.json"  # noqa: S105 - the name of a token, not one


@dataclass(frozen=True)
class Access:
    url: str
    user: str
    password: str
    """Empty when it was changed on the site."""
    token: str

    @classmethod
    def read(cls, folder: Path) -> Access | None:
        """The file's content; None when it is missing or not ours."""
        try:
            data = json.loads((folder / "access.json").read_text(encoding="utf-8"))
            return cls(**{key: str(data[key]) for key in ("url", "user", "password", "token")})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        """Replace the file in one step; nobody else can read it at any moment."""
        draft = folder / f".access.{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(asdict(self), stream, indent=2)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(folder / "access.json")


def chosen_folder(given: Path | None) -> Path:
    """The data folder, as it was written: the given one, else NASDIP_DATA, else `nasdip` in XDG_DATA_HOME or `~/.local/share`."""
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "nasdip"
    return given or Path(os.environ.get("NASDIP_DATA") or home)


def new_password() -> str:
    return secrets.token_urlsafe(12)


def settle(folder: Path, url: str) -> tuple[Access, bool]:
    """Have an owner with a valid password and token, and the file that says so. Needs Django set up.

    Returns the access and whether its password is new.
    """
    from django.contrib.auth.models import User

    from webapp.accounts import tokens

    known = Access.read(folder)
    name = known.user if known is not None else OWNER
    password = known.password if known is not None else ""
    user = User.objects.filter(username=name).first()
    fresh = user is None
    if user is None:
        # Never the password that is known: whoever was removed or renamed for it must not come back by it.
        password = new_password()
        user = User.objects.create_superuser(name, password=password)
    elif not (password and user.check_password(password)):
        password = ""
    token = known.token if known is not None else ""
    if not token or tokens.user_of(token) != user:
        tokens.revoke(user, TOKEN_NAME)
        token = tokens.issue(user, TOKEN_NAME)
    access = Access(url=url, user=name, password=password, token=token)
    if access != known:
        access.write(folder)
    return access, fresh


def reset_password(folder: Path, name: str) -> str | None:
    """Give user `name` a new password and return it; None when there is no such user. Needs Django set up."""
    from django.contrib.auth.models import User

    user = User.objects.filter(username=name).first()
    if user is None:
        return None
    password = new_password()
    user.set_password(password)
    user.save(update_fields=["password"])
    known = Access.read(folder)
    if known is not None and known.user == name:
        Access(url=known.url, user=name, password=password, token=known.token).write(folder)
    return password


def new_token(name: str) -> str | None:
    """Make an API token for user `name` and return its text; None when there is no such user. Needs Django set up."""
    from django.contrib.auth.models import User

    from webapp.accounts import tokens

    user = User.objects.filter(username=name).first()
    return None if user is None else tokens.issue(user, "made by an operator")


@contextlib.contextmanager
def database_released() -> Iterator[None]:
    """Close what the block opened: the supervisor holds no database connection while it waits."""
    from django.db import connections

    try:
        yield
    finally:
        for connection in connections.all(initialized_only=True):
            connection.close()
            close_pool = getattr(connection, "close_pool", None)
            if close_pool is not None:
                close_pool()
