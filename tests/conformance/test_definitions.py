"""Definitions are accepted or refused as by AWS, with AWS's messages."""

from typing import Any

import pytest

from infra.asl import DefinitionError, compile_definition
from infra.local.template.task_parameters import PARAMETERS


@pytest.mark.vectors("definitions.jsonl", category="definitions")
def test_a_definition_is_refused_or_accepted_as_by_aws(case: dict[str, Any]) -> None:
    definition = case["definition"]
    if "DISTRIBUTED" in str(definition):
        pytest.skip("a distributed Map is not supported")
    express = case["name"].startswith("test_sfn_api_express.py")
    if case["result"] == "OK":
        compile_definition(definition, name="conformance", integrations=PARAMETERS, express=express)
        return
    with pytest.raises(DefinitionError) as refused:
        compile_definition(definition, name="conformance", integrations=PARAMETERS, express=express)
    if case["message"] is not None:
        assert f"Invalid State Machine Definition: '{refused.value}'" == case["message"]
    for diagnostic in case.get("diagnostics", ()):
        assert refused.value.code == diagnostic["code"]
        assert diagnostic.get("location", "").startswith(refused.value.place)
