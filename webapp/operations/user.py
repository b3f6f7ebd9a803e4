"""`nasdip user NAME --reset`: a new password for somebody who has lost theirs."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="nasdip user", description="Accounts of this instance.")
    parser.add_argument("name", metavar="NAME", help="the user's name")
    parser.add_argument(
        "--reset", action="store_true", required=True, help="make a new password and print it"
    )
    parser.add_argument(
        "--data", type=Path, help="the data folder (default: NASDIP_DATA, else ~/.local/share/nasdip)"
    )
    options = parser.parse_args(arguments)
    if options.data is not None:
        with contextlib.suppress(RuntimeError):  # ~nobody stays as it is, and is not there
            options.data = options.data.expanduser()
        options.data = options.data.absolute()
        os.environ["NASDIP_DATA"] = str(options.data)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")

    import django
    from django.core.exceptions import ImproperlyConfigured
    from django.db import Error

    from webapp.operations.access import database_released, reset_password

    try:
        if options.data is not None and not options.data.is_dir():  # the settings would make one
            raise Error
        django.setup()
        from django.conf import settings

        with database_released():
            password = reset_password(settings.DATA_DIR, options.name)
    except ImproperlyConfigured as error:
        print(f"nasdip: {error}", file=sys.stderr)
        return 1
    except Error:
        print(
            f"nasdip: {os.environ.get('NASDIP_DATA', 'the data folder')} holds no instance yet: "
            "start one with ./nasdip up, or name its folder with --data.",
            file=sys.stderr,
        )
        return 1
    if password is None:
        print(f"nasdip: there is no user {options.name!r} in this instance.", file=sys.stderr)
        return 1
    print(f"The new password of {options.name}: {password}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
