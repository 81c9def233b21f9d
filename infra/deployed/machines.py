"""The state machine of a deployed stack that processes orders."""

import json
from collections.abc import Mapping
from typing import Any

from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack


def order_machine(stack: DeployedStack) -> Mapping[str, Any]:
    """Return the deployed definition of ``order_processing``.

    Raises
    ------
    AWSError
        AWS refused the call.
    """
    arn = stack.name("OrderProcessing")
    with translate_errors(f"the state machine {arn}", "deploy the stack again"):
        described = stack.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
    definition: Mapping[str, Any] = json.loads(described["definition"])
    return definition
