from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from activities.providers.postgres.spec import KINDS, check_identifier
from activities.providers.provider import Marker, Provider


def test_the_provider_fits_the_protocol(provider: Provider) -> None:
    assert set(provider.kinds) == {"postgres.role", "postgres.database", "postgres.schema"}


@pytest.mark.parametrize("name", ["shop-app", "s", "shop_2", "a" * 63])
def test_a_plain_name_passes_as_it_came(name: str) -> None:
    assert check_identifier(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "small letter"),
        ("Shop", "small letter"),
        ("2shop", "small letter"),
        ('shop"; DROP DATABASE postgres; --', "small letter"),
        ("shop'", "small letter"),
        ("shop;", "small letter"),
        ("shop\n", "small letter"),
        ("shöp", "small letter"),
        ("a" * 64, "at most 63"),
        ("amends_worker", "amends_"),
        ("pg_catalog", "pg_"),
        ("postgres", "belongs to PostgreSQL"),
        ("template1", "belongs to PostgreSQL"),
        ("public", "belongs to PostgreSQL"),
    ],
)
def test_a_name_is_refused_with_its_reason(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_identifier(name)
    for kind in KINDS.values():
        with pytest.raises(ValueError, match=reason):
            kind.check_name(name)


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [
        ("postgres.role", {"password": "x"}, "password"),
        ("postgres.role", {"login": "yes"}, "login"),
        ("postgres.role", {"connection_limit": -2}, "connection_limit"),
        ("postgres.role", {"connection_limit": 2**31}, "connection_limit"),
        ("postgres.database", {}, "owner"),
        ("postgres.database", {"owner": "postgres"}, "owner"),
        ("postgres.database", {"owner": "amends_provisioner"}, "owner"),
        ("postgres.database", {"owner": "shop-app", "connection_limit": 0}, "connection_limit"),
        ("postgres.schema", {"owner": "shop-app"}, "database"),
        ("postgres.schema", {"owner": "shop-app", "database": "x;y"}, "database"),
    ],
)
def test_a_bad_spec_is_refused_by_field(kind: str, spec: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        KINDS[kind].model_validate(spec)
    assert [error["loc"] for error in refusal.value.errors()] == [(field,)]


def test_a_planner_learns_from_the_models_what_refers_and_what_identifies() -> None:
    for kind in KINDS.values():
        assert kind.references <= set(kind.model_fields)
        assert kind.identity <= set(kind.model_fields)
    assert KINDS["postgres.schema"].identity == {"database"}


NAMES = st.from_regex(r"[A-Za-z0-9._/-]{1,40}", fullmatch=True)


@given(NAMES, NAMES)
def test_a_marker_is_read_as_it_was_written(resource: str, change: str) -> None:
    marker = Marker(resource, change)
    assert Marker.parse(str(marker)) == marker


@pytest.mark.parametrize("text", [None, "", "my database", "amends: x", "amends: a b by c"])
def test_any_other_comment_is_no_marker(text: str | None) -> None:
    assert Marker.parse(text) is None
