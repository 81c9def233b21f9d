"""The HTTP API conforms to its OpenAPI document: schemathesis generates requests.

Whatever is asked, nothing ends in a 500 or a stack trace, and every refusal is a problem document.
"""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from infra.contracts.openapi import PROBLEM
from tests.e2e.conftest import DOCUMENT
from tests.fakes.serving import Served

EXAMPLES = 25
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
]

schema = schemathesis.openapi.from_dict(DOCUMENT)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_api(case: "schemathesis.Case[Any]", api_server: Served) -> None:
    response = case.call(base_url=api_server.address, timeout=30)
    case.validate_response(response, checks=CHECKS)
    assert "Traceback" not in response.text
    if response.status_code >= 400:
        assert response.headers["content-type"] == [PROBLEM]
        assert response.json()["status"] == response.status_code
