"""Event patterns: `infra.patterns` gives AWS's answers."""

import json
from typing import Any

import pytest

from infra.patterns import InvalidPattern, compile_pattern


@pytest.mark.vectors("event_patterns.jsonl", category="event_patterns")
def test_a_pattern_is_matched_or_refused_as_by_aws(case: dict[str, Any]) -> None:
    text = case.get("pattern_text") or json.dumps(case["pattern"])
    if case["expect"] == "invalid":
        with pytest.raises(InvalidPattern) as refused:
            compile_pattern(text)
        assert str(refused.value) == case["error"]
    else:
        assert compile_pattern(text).matches(case["event"]) is (case["expect"] == "match")
