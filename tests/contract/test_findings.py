"""The rows of docs/aws.md's findings, their tests, and the mutations that these have to detect."""

import pytest

from infra.local.template.project import ROOT
from tests.mutations.findings import Mutation, mutations, rows

MUTATIONS = mutations()
ROWS = rows()


def of_row(finding: str) -> list[Mutation]:
    return [mutation for mutation in MUTATIONS if mutation.is_of(finding)]


def test_the_table_is_read() -> None:
    assert len(ROWS) > 35
    assert all(ROWS.values())


@pytest.mark.parametrize("finding", ROWS)
def test_each_test_of_a_finding_has_a_mutation_that_it_detects(finding: str) -> None:
    assert {mutation.test_file for mutation in of_row(finding)} == ROWS[finding]


@pytest.mark.parametrize("number", range(len(MUTATIONS)))
def test_a_mutation_is_of_one_row_and_changes_one_place(number: int) -> None:
    mutation = MUTATIONS[number]
    assert sum(mutation.is_of(finding) for finding in ROWS) == 1
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert mutation.applied(text) != text


def test_a_place_that_is_missing_or_not_unique_is_an_error() -> None:
    for old in ("nothing like this", "Type: AWS::SQS::Queue"):
        with pytest.raises(ValueError, match=r"template\.yaml does not have, once"):
            Mutation("C1", "template.yaml", old, "", "").applied("Type: AWS::SQS::Queue\n" * 2)
