"""The public contract as data is what the workflows do, and docs/contract.md says all of it."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from temporalio import workflow
from temporalio.common import SearchAttributeKey

from starter.client.advice import ADVICE
from workflows.contract.change import ChangeRequest
from workflows.contract.kinds import KINDS
from workflows.contract.public import (
    FAILURES,
    WORKFLOWS,
    PublicWorkflow,
    contract,
)
from workflows.contract.search_attributes import SEARCH_ATTRIBUTES
from workflows.engine import run
from workflows.engine.lifecycle import TABLE
from workflows.kinds import SAGAS
from workflows.planning.plan import Refusal
from workflows.planning.validation import validated
from workflows.recovery import RecoverySaga
from workflows.sweep import SweepWorkflow

PAGE = (Path(__file__).parent.parent / "docs/contract.md").read_text()
CLASSES = {each.__name__: each for each in (*SAGAS, RecoverySaga, SweepWorkflow)}


def names(handlers: Any) -> set[str]:
    """The names of public handlers; one for all other names has none."""
    return {name for name in handlers if name and not name.startswith("__")}


@pytest.mark.parametrize("public", WORKFLOWS, ids=lambda each: each.name)
def test_the_updates_and_queries_of_a_workflow_are_public(public: PublicWorkflow) -> None:
    definition = workflow._Definition.must_from_class(CLASSES[public.name])
    assert names(definition.updates) == set(public.updates)
    assert names(definition.queries) == ({"progress"} if public.updates else set())
    assert names(definition.signals) == set()


def test_every_workflow_of_ours_is_public() -> None:
    assert [each.name for each in WORKFLOWS] == list(CLASSES)
    assert {kind.workflow for kind in KINDS} <= set(CLASSES)


def test_the_search_attributes_are_those_that_a_saga_sets() -> None:
    keys = {each for each in vars(run).values() if isinstance(each, SearchAttributeKey)}
    types = {"Keyword": str, "KeywordList": Sequence[str], "Bool": bool}
    assert {key.name: key.value_type for key in keys} == {
        name: types[kind] for name, (kind, _) in SEARCH_ATTRIBUTES.items()
    }


def refs(document: Any) -> Iterator[str]:
    """Every reference of a document."""
    if isinstance(document, dict):
        yield from ([document["$ref"]] if "$ref" in document else [])
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            yield from refs(part)


def test_the_contract_is_one_document_that_refers_to_itself_only() -> None:
    document = json.loads(json.dumps(contract()))
    named = {ref.removeprefix("#/$defs/") for ref in refs(document)}
    assert named == set(document["$defs"])
    assert set(document) == {"workflows", "failures", "search_attributes", "$defs"}


@pytest.mark.parametrize("public", WORKFLOWS, ids=lambda each: each.name)
def test_the_page_lists_a_workflow_with_all_that_a_client_needs(public: PublicWorkflow) -> None:
    [row] = re.findall(rf"^\| `{public.name}` \|.*$", PAGE, re.MULTILINE)
    models = (public.request.__name__, public.result.__name__)
    for word in (public.workflow_id, public.queue.default, *models):
        assert f"`{word}`" in row


def test_the_page_lists_updates_failures_and_search_attributes() -> None:
    rows = "\n".join(re.findall(r"^\| `.*$", PAGE, re.MULTILINE))
    updates = {update for each in WORKFLOWS for update in each.updates}
    assert [name for name in updates if f"`{name}`" not in rows] == []
    assert [name for name in FAILURES if f"| `{name}` |" not in rows] == []
    for name, (kind, _) in SEARCH_ATTRIBUTES.items():
        assert f"| `{name}` | {kind} |" in rows


def test_the_page_lists_every_state_and_every_reason_that_has_an_advice() -> None:
    section = PAGE.partition("## States and reasons")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`([a-z_]+)`", section))
    refusals = set(get_args(Refusal.model_fields["reason"].annotation))
    assert set(ADVICE) | refusals <= listed
    states = {"resolving", "needs_attention", *(row.state for row in TABLE.values() if row.state)}
    assert states <= listed


def test_the_file_of_the_page_is_a_good_change() -> None:
    [text] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    request = ChangeRequest.model_validate({"actor": "user:ana", **yaml.safe_load(text)})
    assert set(validated(request).names) == {"shop-db", "shop-app", "old-db"}
