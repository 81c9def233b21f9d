"""The complexity of a field's wildcards, which EventBridge limits.

The complexity is the largest number of wildcard prefixes that one value can match at once. It
grows with the stars, and with characters that repeat after a star.

Source: MachineComplexityEvaluator.java in aws/event-ruler; the message is in "Comparison operators
for use in event patterns" of the EventBridge User Guide, which does not state the limit. The limit
is the one that users of the service observe.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from infra.patterns.tokens import InvalidPattern

MAX_COMPLEXITY = 10
"""Maximum number of prefixes that one value can match at once."""

_MAX_STEPS = 100_000
"""Steps of the evaluation after which wildcards are too complex, about 50 ms."""

STAR = 256
"""The token of a star; other tokens are bytes."""

_Place: TypeAlias = tuple[int, int]
"""A wildcard's index, and the number of its tokens that a value has matched."""


def check_complexity(wildcards: Iterable[str]) -> None:
    """Raise `InvalidPattern` if the wildcards of one field are too complex."""
    patterns = [list(_tokens(text)) for text in sorted(set(wildcards)) if "*" in text]
    if patterns and _is_too_complex(patterns):
        raise InvalidPattern(
            "Rule is too complex - try using fewer wildcard characters or fewer repeating"
            " character sequences after a wildcard character"
        )


def _tokens(text: str) -> Iterator[int]:
    """Yield the tokens of a wildcard that is already valid, with its quotes."""
    content = iter(text.encode())
    yield ord('"')
    for byte in content:
        if byte == ord("*"):
            yield STAR
        else:
            yield next(content) if byte == ord("\\") else byte
    yield ord('"')


def _is_too_complex(patterns: Sequence[Sequence[int]]) -> bool:
    start = frozenset((index, 0) for index in range(len(patterns)))
    todo, seen, steps = [start], {start}, 0
    while todo:
        places = todo.pop()
        following = {patterns[index][at] for index, at in places if at < len(patterns[index])} | {
            STAR
        }  # a star stands for a byte that no wildcard names
        for byte in following:
            reached = frozenset(_after(patterns, places, byte))
            steps += len(places) + len(reached)
            if len(reached) > MAX_COMPLEXITY or steps > _MAX_STEPS:
                return True
            if reached and reached not in seen:
                seen.add(reached)
                todo.append(reached)
    return False


def _after(
    patterns: Sequence[Sequence[int]], places: Iterable[_Place], byte: int
) -> Iterator[_Place]:
    """Yield the places after one more byte; a star that may be empty is matched at once."""
    for index, at in places:
        tokens = patterns[index]
        if at and tokens[at - 1] == STAR:
            yield index, at
        if at < len(tokens) and byte == tokens[at] != STAR:
            yield index, at + 1
            if at + 1 < len(tokens) and tokens[at + 1] == STAR:
                yield index, at + 2
