"""The quicker moto of the tests answers as moto does, and rolls a transaction back wholly."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends

from tests.fakes.quick_moto import ORIGINAL, quick_aws

TABLE: Mapping[str, Any] = {
    "TableName": "T",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
    ],
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
}


def key(pk: str, sk: str = "s") -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def add(pk: str, minimum: int = 0) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": "T",
            "Key": key(pk),
            "UpdateExpression": "SET #n = if_not_exists(#n, :zero) + :one, m.a = :one REMOVE gone",
            "ConditionExpression": "#n >= :minimum",
            "ExpressionAttributeNames": {"#n": "n"},
            "ExpressionAttributeValues": {
                ":one": {"N": "1"},
                ":zero": {"N": "0"},
                ":minimum": {"N": str(minimum)},
            },
        }
    }


def put(pk: str, sk: str = "s") -> dict[str, Any]:
    item = {**key(pk, sk), "n": {"N": "5"}, "m": {"M": {}}, "gone": {"S": "x"}}
    return {"Put": {"TableName": "T", "Item": item}}


def remove(pk: str) -> dict[str, Any]:
    return {"Delete": {"TableName": "T", "Key": key(pk)}}


TRANSACTIONS: tuple[list[dict[str, Any]], ...] = (
    [add("A"), add("B")],
    [add("A"), add("B", 9)],  # refused after a write
    [put("A", "other"), put("C"), remove("B"), add("A", 99)],  # refused after three
    [put("C"), remove("B")],
    [add("A"), add("A")],  # one item twice
    [add("A"), add("B")],  # the second does not exist
    [add("A"), {"ConditionCheck": {**remove("C")["Delete"], "ConditionExpression": "n = m"}}],
)


def outcomes(aws: Callable[[], AbstractContextManager[Any]]) -> list[Any]:
    """Return the answers to the transactions, with the table and its stream after each."""
    found: list[Any] = []
    with aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(**TABLE)
        for pk in ("A", "B", "D"):
            client.put_item(**put(pk)["Put"])
        for transaction in TRANSACTIONS:
            try:
                client.transact_write_items(TransactItems=transaction)
                found.append("written")
            except ClientError as error:
                found.append((str(error), error.response.get("CancellationReasons")))
            found.append(sorted(client.scan(TableName="T")["Items"], key=str))
            found.append(records())
    return found


def records() -> list[Any]:
    shard = dynamodb_backends["123456789012"]["us-east-1"].tables["T"].stream_shard
    assert shard is not None
    return [
        (one["eventName"], one["dynamodb"].get("NewImage"))
        for one in (record.to_json() for record in shard.items)
    ]


def test_transactions_end_as_on_moto_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as plain:
        for place, name, own in ORIGINAL:
            plain.setattr(place, name, own)
        expected = outcomes(mock_aws)
    assert expected.count("written") == 2
    assert outcomes(quick_aws) == expected
