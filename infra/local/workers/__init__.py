"""Runs functions: worker processes with a timeout, or handlers in the engine's own process.

- `infra.local.workers.pool` shares invocations out among the workers;
- `infra.local.workers.timeouts` kills a function at its timeout;
- `infra.local.workers.worker` is the program of a worker process;
- `infra.local.workers.execution_environment` calls the handlers, in either kind of process;
- `infra.local.workers.inline` runs handlers in the engine's process, for debugging and tests.
"""
