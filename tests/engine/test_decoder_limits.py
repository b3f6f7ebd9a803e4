"""What a decoding child may use, on systems that know each limit and on macOS, which does not."""

from __future__ import annotations

import resource

import pytest

from nasdip_engine import decoder


def limits_where(
    monkeypatch: pytest.MonkeyPatch, platform: str, refused: int | None
) -> dict[int, tuple[int, int]]:
    """The limits that a child sets on a system whose kernel refuses one of them."""
    kept: dict[int, tuple[int, int]] = {}

    def setrlimit(kind: int, limit: tuple[int, int]) -> None:
        if kind == refused:
            raise ValueError("current limit exceeds maximum limit")
        kept[kind] = limit

    monkeypatch.setattr(decoder.sys, "platform", platform)
    monkeypatch.setattr(decoder.resource, "setrlimit", setrlimit)
    decoder._confine(None)
    return kept


def test_a_child_is_confined(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = limits_where(monkeypatch, "linux", None)
    assert kept[resource.RLIMIT_AS] == (decoder.ADDRESS_SPACE, decoder.ADDRESS_SPACE)
    assert kept[resource.RLIMIT_FSIZE] == (0, 0)
    assert kept[resource.RLIMIT_CPU][0] == decoder.CPU_SECONDS


def test_macos_has_all_but_the_limit_that_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = limits_where(monkeypatch, "darwin", resource.RLIMIT_AS)
    assert set(kept) == {resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE}


@pytest.mark.parametrize(
    ("platform", "refused"), [("linux", resource.RLIMIT_AS), ("darwin", resource.RLIMIT_CPU)]
)
def test_no_other_limit_is_left_out(monkeypatch: pytest.MonkeyPatch, platform: str, refused: int) -> None:
    with pytest.raises(ValueError, match="exceeds"):
        limits_where(monkeypatch, platform, refused)
