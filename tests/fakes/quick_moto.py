"""moto's DynamoDB without copies of a whole table, and without two walks of each expression's node.

moto copies every item of a table for each write of a transaction, to be able to roll it back, and
asks each node of an expression for the classes that a walk is about. With a hundred items in the
table that is most of a test's time. Each session of botocore reads the models of its services from
files; here a process reads each file once. `tests/integration/test_quick_moto.py` compares the
answers.
"""

import copy
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from botocore.loaders import JSONFileLoader
from moto import mock_aws
from moto.dynamodb import models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser, Node  # type: ignore[attr-defined]

ORIGINAL: Sequence[tuple[Any, str, Any]] = (
    (DynamoDBBackend, "transact_write_items", DynamoDBBackend.transact_write_items),
    (DepthFirstTraverser, "traverse", DepthFirstTraverser.traverse),
    (models, "copy", copy),
    (JSONFileLoader, "load_file", JSONFileLoader.load_file),
)
"""Places in moto and botocore that are replaced, with their own objects."""

_transact = DynamoDBBackend.transact_write_items


@contextmanager
def quick_aws() -> Iterator[None]:
    """Return a new AWS on moto, as `mock_aws` does."""
    _install()
    with mock_aws():
        yield


def _install() -> None:
    for (place, name, _), quick in zip(
        ORIGINAL, (_transact_write_items, _traverse, _COPIER, _load_file), strict=True
    ):
        setattr(place, name, quick)


def _transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    """Write as moto does, with copies of the items that the transaction names alone."""
    _COPIER.writes = [write for item in transact_items for write in item.values()]
    _transact(self, transact_items)


class _Copier(threading.local):
    """The module `copy` for moto; knows the writes of the transaction of its thread."""

    writes: Sequence[Mapping[str, Any]] = ()

    def deepcopy(self, value: Any) -> Any:
        if not isinstance(value, Table):
            return copy.deepcopy(value)
        table = copy.copy(value)
        table.items = defaultdict(dict, value.items)
        for write in self.writes:
            key = write.get("Key") or write.get("Item") or {}
            if write.get("TableName") == table.name and table.hash_key_attr in key:
                named = DynamoType(key[table.hash_key_attr])
                if named in value.items:
                    table.items[named] = copy.deepcopy(value.items[named])
        if value.stream_shard is not None:
            table.stream_shard = copy.copy(value.stream_shard)
            table.stream_shard.items = list(value.stream_shard.items)
            table.stream_shard.table = table
        return table


_COPIER = _Copier()

_read_file = JSONFileLoader.load_file


@lru_cache(maxsize=128)
def _model(path: str) -> Any:
    return _read_file(JSONFileLoader(), path)


def _load_file(_: JSONFileLoader, file_path: str) -> Any:
    """Return a document that botocore's sessions share; none of them changes it."""
    return _model(file_path)


def _traverse(self: Any, node: Any) -> Any:
    """Process nodes from the leaves to the root, as moto's recursive method does."""
    wanted = self.nodes_to_be_processed()

    def visit(node: Any, child: int) -> Any:
        if not isinstance(node, Node):
            return node
        parent = node.parent
        for place, each in enumerate(node.children or ()):
            self.pre_processing_of_child(node, place)
            visit(each, place)
        if isinstance(node, wanted):
            node = self.process(node)
            node.parent = parent
            if parent:
                parent.children[child] = node
        return node

    return visit(node, -1)
