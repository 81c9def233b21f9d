"""JSONPath as AWS implements it: the selected values, and the error if there are none."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from infra.asl.errors import ExpressionError, PathNotFoundError, StateFailure
from infra.asl.expressions.paths import compile_path, compile_reference_path

STORE = {
    "name": "corner",
    "a-b": {"c d": 1},
    "it's": 2,
    "items": [
        {"sku": "A", "price": 10, "tags": ["x"]},
        {"sku": "B", "price": 20, "tags": []},
        {"sku": "C", "price": 30},
    ],
    "owner": {"name": "Ann"},
    "none": None,
    "@type": "Shop",
}
SCOPE: Any = SimpleNamespace(
    variables={"limit": 7, "order": {"id": "o-1"}},
    context={"Execution": {"Name": "run-1"}},
    random=lambda: 0.5,
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", STORE),
        ("$.name", "corner"),
        ("$.none", None),
        ("$.@type", "Shop"),
        ("$['a-b']['c d']", 1),
        ('$["name"]', "corner"),
        (r"$['it\'s']", 2),
        ("$.items[0].sku", "A"),
        ("$.items[-1].sku", "C"),
        ("$.items[*].sku", ["A", "B", "C"]),
        ("$.items[1:].sku", ["B", "C"]),
        ("$.items[:-2].sku", ["A"]),
        ("$.items[0,2].sku", ["A", "C"]),
        ("$.items[9:]", []),
        ("$.owner.*", ["Ann"]),
        ("$..name", ["corner", "Ann"]),
        ("$..tags[0]", ["x"]),
        ("$.nothing[*].at.all", []),
        ("$.items[?(@.price > 15)].sku", ["B", "C"]),
        ("$.items[?(@.price == 10 || @.sku == 'C')].sku", ["A", "C"]),
        ("$.items[?(@.price >= 20 && !@.tags)].sku", ["C"]),
        ("$.items[?(@.sku != 'A')].price", [20, 30]),
        ("$.items[?(@.price == '10.0')].sku", ["A"]),
        ("$.items[?(@.price === '10')]", []),
        ("$.items[?(@.price !== '10')].sku", ["A", "B", "C"]),
        ("$.items[?(@.price < '20')]", []),
        ("$.items[?(@.gone != 1)].sku", ["A", "B", "C"]),
        ("$.items[?(@.gone == 1)]", []),
        ("$.items[?(@.gone == null)]", []),
        ("$.items[*].tags[?(@ == 'x')]", []),
        ("$['name','none','nothing']", {"name": "corner", "none": None}),
        ("$.items[:2]['sku','price']", [{"sku": "A", "price": 10}, {"sku": "B", "price": 20}]),
        ("$['a-b','owner'].name", ["Ann"]),
        ("$..['price','tags']", [{"price": 10, "tags": ["x"]}, {"price": 20, "tags": []}]),
        ("$..['c d','name']", []),
        ("$$.Execution.Name", "run-1"),
        ("$limit", 7),
        ("$order.id", "o-1"),
    ],
)
def test_a_path_selects(path: str, value: Any) -> None:
    assert compile_path(path)(STORE, SCOPE) == value


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("$.missing", "No results for path: $['missing']"),
        ("$.missing.deeper", "Missing property in path $['missing']"),
        ("$.owner.age", "No results for path: $['owner']['age']"),
        ("$.items[3]", "No results for path: $['items'][3]"),
        ("$.name.first", "Property ['first'] not found in path $['name']"),
        (
            "$.owner[0]",
            'Filter: [0] can only be applied to arrays. Current context is: {"name":"Ann"}',
        ),
        ("$unknown", "No variable is named 'unknown'"),
    ],
)
def test_a_definite_path_without_value_names_the_missing_step(path: str, reason: str) -> None:
    with pytest.raises(PathNotFoundError, match=f"^{re.escape(reason)}$"):
        compile_path(path)(STORE, SCOPE)


@pytest.mark.parametrize(
    "text",
    ["", "name", "$.", "$.a b", "$[", "$['a'", "$.a[x]", "$.a[?(@.b ==)]", "$.a[?(@.b =~ /x/)]"],
)
def test_an_invalid_path_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_path(text)


@pytest.mark.parametrize(
    ("path", "data", "result"),
    [
        ("$", {"a": 1}, "new"),
        ("$.b", {"a": 1}, {"a": 1, "b": "new"}),
        ("$.a.b.c", {}, {"a": {"b": {"c": "new"}}}),
        ("$['x y']", {}, {"x y": "new"}),
        ("$[1].a", [1, {"b": 2}], [1, {"b": 2, "a": "new"}]),
    ],
)
def test_a_result_is_put_at_its_reference_path(path: str, data: Any, result: Any) -> None:
    before = repr(data)
    assert compile_reference_path(path)(data, "new") == result
    assert repr(data) == before, "the data was changed in place"


@pytest.mark.parametrize(("path", "data"), [("$.a", "text"), ("$.a.b", {"a": 1}), ("$[2]", [1])])
def test_a_result_whose_path_does_not_fit_fails_the_state(path: str, data: Any) -> None:
    with pytest.raises(StateFailure) as failed:
        compile_reference_path(path)(data, "new")
    assert failed.value.error == "States.ResultPathMatchFailure"
    assert failed.value.cause is not None
    assert failed.value.cause.startswith(f"Unable to apply ReferencePath {path} to input ")


@pytest.mark.parametrize("text", ["$.a[*]", "$..a", "$$.a", "$variable", "$.a[0:1]"])
def test_a_reference_path_selects_a_single_node(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_reference_path(text)
