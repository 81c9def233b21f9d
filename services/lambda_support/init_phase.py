"""Lambda's init phase: a function's adapters and clients, made before its first call.

Lambda gives the init phase a whole vCPU, and a call the share that its memory buys: 256 MB have a
seventh (Lambda, "Configure function memory"; serverlessland, "Utilize initialization phase"). boto3
takes 0.2 s on a whole vCPU, and 1.5 s within a call. Provisioned concurrency runs the phase in
advance, so its first calls need not wait for it either.
"""

import os
from collections.abc import Callable

from kernel.errors import OrderflowError
from lambda_support import aws

INITIALIZED = "AWS_LAMBDA_INITIALIZATION_TYPE"
"""Variable of every execution environment of Lambda (Lambda, "Using Lambda environment
variables"); a worker of one machine does not have it."""


def prepare(make: Callable[[], object], *services: str) -> None:
    """Call a factory of ports, and make the clients of AWS services, in Lambda's init phase.

    An invalid setting is left to the first call, whose error names it and is logged: an error here
    ends the environment without either.
    """
    if INITIALIZED not in os.environ:
        return
    try:
        make()
        for name in services:
            aws.client(name)
    except OrderflowError:
        return
