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


def test_the_change_of_the_readme_is_a_good_one_and_has_no_operation_id() -> None:
    file = yaml.safe_load((ROOT / "examples/shop.yaml").read_text())
    assert "operation_id" not in file
    request = ChangeRequest.model_validate({"actor": "user:ana", "operation_id": "a", **file})
    assert list(validated(request).wanted) == [each.name for each in request.present]


def test_the_rollbacks_of_the_readme_go_back_before_the_change_that_it_applies() -> None:
    text = (ROOT / "README.md").read_text()
    [applied] = re.findall(r"amends apply examples/shop.yaml --operation-id (\S+)", text)
    assert set(re.findall(r"--to before:(\S+)", text)) == {applied}
