"""`nasdip user NAME --reset | --token`: a new password for somebody who has lost theirs, or a token for the API."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from webapp.operations.access import chosen_folder, database_released, new_token, reset_password

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="nasdip user", description="Accounts of this instance.")
    parser.add_argument("name", metavar="NAME", help="the user's name")
    made = parser.add_mutually_exclusive_group(required=True)
    made.add_argument("--reset", action="store_true", help="make a new password and print it")
    made.add_argument(
        "--token",
        action="store_true",
        help="make a token for the API and print it; /admin/ shows and revokes tokens",
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="the data folder (default: NASDIP_DATA, else nasdip in XDG_DATA_HOME or ~/.local/share)",
    )
    options = parser.parse_args(arguments)
    data = chosen_folder(options.data)
    with contextlib.suppress(RuntimeError):  # ~nobody stays as it is, and is not there
        data = data.expanduser()
    data = data.absolute()
    os.environ["NASDIP_DATA"] = str(data)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")

    import django
    from django.core.exceptions import ImproperlyConfigured
    from django.db import Error

    os.umask(0o077)  # as `up`: nobody else reads what an instance writes
    # Looked at first: the settings, and SQLite, would make what is not there.
    if not os.environ.get("NASDIP_DATABASE_URL") and not (data / "nasdip.sqlite3").is_file():
        return _refused(
            f"{data} holds no instance yet: start one with ./nasdip up, or name its folder with --data."
        )
    try:
        django.setup()
        with database_released():
            secret = new_token(options.name) if options.token else reset_password(data, options.name)
    except ImproperlyConfigured as error:
        return _refused(str(error))
    except Error as error:
        return _refused(f"the database can't be used ({str(error).strip().splitlines()[0]}).")
    if secret is None:
        return _refused(f"there is no user {options.name!r} in this instance.")
    print(f"The new {'token' if options.token else 'password'} of {options.name}: {secret}")
    return 0


def _refused(sentence: str) -> int:
    print(f"nasdip: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
