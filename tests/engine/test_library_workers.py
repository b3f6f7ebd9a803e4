"""`restore` and `search` from Python: what can't be done is said in one sentence before any work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasdip_engine import restore, search
from nasdip_engine.errors import SettingsError


@pytest.mark.parametrize("call", [restore, search])
@pytest.mark.parametrize("workers", [0, -1, "2", 1.5, True])
def test_a_number_of_workers_that_cannot_be_is_refused(call: Any, workers: Any) -> None:
    with pytest.raises(SettingsError, match=r"workers is .* 1 or more") as refused:
        call(np.zeros((40, 48, 3), np.uint8), workers=workers)
    assert refused.value.field == "workers"
