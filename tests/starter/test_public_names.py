"""What `from starter import ...` offers is there."""

import pytest

import starter


@pytest.mark.parametrize("name", starter.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(starter, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
        _ = starter.Nobody
