"""`python -m nasdip_engine`: the command line; the launcher `./nasdip` ends here."""

from __future__ import annotations

import sys

from nasdip_engine.cli import main

if __name__ == "__main__":
    sys.exit(main())
