"""What the README tells to run is there, and is a good request."""

import re
from pathlib import Path

import yaml

from workflows.contract.change import ChangeRequest
from workflows.contract.payment import PaymentRequest
from workflows.planning.validation import validated

ROOT = Path(__file__).parent.parent


def test_every_file_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"(?:examples|docs)/[\w./-]+", (ROOT / "README.md").read_text()))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_payment_of_the_readme_waits_for_a_person() -> None:
    request = PaymentRequest.model_validate_json((ROOT / "examples/payment.json").read_bytes())
    assert 5_000_000 < request.amount.minor <= 6_000_000


def test_the_change_of_the_readme_is_a_good_one() -> None:
    text = (ROOT / "examples/shop.yaml").read_text()
    request = ChangeRequest.model_validate({"actor": "user:ana", **yaml.safe_load(text)})
    assert list(validated(request).wanted) == [each.name for each in request.present]
