"""The environment of a test session, laid before Django's settings are first read (`pytest -p` loads this).

Nothing of the user's own instance may reach a test: every NASDIP_* variable goes, and the data folder is a
new one that is removed at the end. NASDIP_TEST_* stay, being addressed to the tests, and NASDIP_VENV, which
names their Python.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

_KEPT = ("NASDIP_TEST_", "NASDIP_VENV")
for _name in [name for name in os.environ if name.startswith("NASDIP_") and not name.startswith(_KEPT)]:
    del os.environ[_name]
_folder = tempfile.mkdtemp(prefix="nasdip-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["NASDIP_DATA"] = _folder
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
