"""The lint of the artefact has every pair of values of the template's parameters."""

from itertools import combinations, product
from typing import Any

from infra.packaging.combinations import FREE, choices, is_deployable, pairwise
from infra.queries.athena import TEMPLATE
from tests.rehearsal.template import read

BODY = read(TEMPLATE)
PARAMETERS = BODY["Parameters"]
ROWS = list(pairwise(PARAMETERS))


def test_each_deployable_pair_of_values_occurs() -> None:
    found = {frozenset(pair) for row in ROWS for pair in combinations(row.items(), 2)}
    domains = choices(PARAMETERS)
    for one, other in combinations(domains, 2):
        for first, second in product(domains[one], domains[other]):
            wanted = {one: first, other: second}
            assert (frozenset(wanted.items()) in found) == is_deployable(wanted), wanted
    assert all(row.keys() == domains.keys() for row in ROWS)


def test_every_combination_may_be_deployed_and_they_are_few() -> None:
    assert all(map(is_deployable, ROWS))
    assert len(ROWS) <= 24
    page = (TEMPLATE.parent / "docs/aws.md").read_text(encoding="utf-8")
    assert f"cfn-lint in {len(ROWS)} combinations" in page


def test_each_parameter_of_a_condition_has_values() -> None:
    decided: set[str] = set()
    _references(BODY["Conditions"], decided)
    assert decided == decided & choices(PARAMETERS).keys()
    assert FREE.keys() <= decided | {"OpenTelemetryEndpoint"}


def _references(value: Any, found: set[str]) -> None:
    if isinstance(value, dict):
        if "Ref" in value:
            found.add(value["Ref"])
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _references(each, found)
