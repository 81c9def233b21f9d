"""Logs, metrics and traces, the same for every handler.

Powertools reads the service's name and the levels from its own environment variables
(``POWERTOOLS_SERVICE_NAME``, ``POWERTOOLS_LOG_LEVEL``, ``POWERTOOLS_METRICS_NAMESPACE``).
``TRACING`` is the template's parameter: ``xray`` is Powertools' tracer with the X-Ray SDK; with
``otel`` ADOT's layer makes a span of each invocation before the handler runs; ``none`` is neither.
"""

import logging
import os
import sys
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit, single_metric
from aws_lambda_powertools.utilities.typing import LambdaContext

from kernel import current_order
from kernel.errors import OrderflowError
from lambda_support.settings import PerFunction

Handler = Callable[[Any, LambdaContext], Any]

NAMESPACE = "Orderflow"

ORDER_ID = "orderflow.order_id"
"""The attribute of a span with the order's id, as in the traces of one machine."""


@PerFunction
def logger() -> Logger:
    """Return this function's structured logger.

    Lambda takes level and time from a line whose ``timestamp`` is of RFC 3339 (Lambda, "Log-level
    filtering"); Powertools' own format is another. ``POWERTOOLS_LOG_LEVEL`` is the level, although
    Powertools prefers Lambda's, which must let metrics pass.
    """
    log = Logger(use_rfc3339=True)
    own = logging.getLogger(log.name)
    level = os.environ.get("POWERTOOLS_LOG_LEVEL")
    if level:
        own.setLevel(level.upper())
    own.addFilter(_name_ids)
    return log


_context: LambdaContext | None = None


def _name_ids(record: logging.LogRecord) -> bool:
    """Give a line the function, the request, and the ids of the order that it works on.

    Powertools' own keys would be set in each invocation, although few write a line.
    """
    if _context is not None:
        record.function, record.request_id = _context.function_name, _context.aws_request_id
    record.order_id, record.correlation_id = current_order.ids()
    return True


@PerFunction
def metrics() -> Metrics:
    """Return this function's metrics, flushed as EMF at the end of each invocation."""
    return Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", NAMESPACE))


def count(name: str, value: float = 1) -> None:
    """Add to a counter of this invocation."""
    metrics().add_metric(name=name, unit=MetricUnit.Count, value=value)


def observe(name: str, seconds: float) -> None:
    """Add a duration to a metric of this invocation."""
    metrics().add_metric(name=name, unit=MetricUnit.Seconds, value=seconds)


def count_by(name: str, dimension: str, label: str, value: float) -> None:
    """Count with one more dimension, as a metric of its own; the labels must be few."""
    namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", NAMESPACE)
    service = os.environ.get("POWERTOOLS_SERVICE_NAME", "orders")
    with single_metric(name, MetricUnit.Count, value, namespace=namespace) as metric:
        metric.add_dimension("service", service)
        metric.add_dimension(dimension, label)


def instrumented(handler: Handler) -> Handler:
    """Give a handler its log context, its metrics and, for a sampled invocation, its trace.

    An `OrderflowError` is logged in one line: it is an outcome, not a crash.
    """

    @wraps(handler)
    def run(event: Any, context: LambdaContext) -> Any:
        global _context
        log, _context = logger(), context
        current_order.enter(event)
        try:
            tracing = _tracing()
            if tracing == "otel":
                _name_order(current_order.ids()[0])
            traced = tracing == "xray" and _is_sampled()
            answer = (_traced(handler) if traced else handler)(event, context)
            if log.log_level <= logging.DEBUG:
                log.debug("done", outcome=_outcome(answer))
        except OrderflowError as error:
            log.info(str(error), outcome=type(error).__name__)
            raise
        except Exception:
            log.exception("unexpected error")
            raise
        else:
            return answer
        finally:
            recorded = metrics()
            if recorded.metric_set:
                recorded.flush_metrics()

    return run


def _outcome(answer: Any) -> str | None:
    """Return the outcome that a step's answer names, or the status of an HTTP response."""
    if not isinstance(answer, dict):
        return None
    outcome = answer.get("outcome") or answer.get("status") or answer.get("statusCode")
    return None if outcome is None else str(outcome)


@cache
def _tracing() -> str:
    """Return which tracer this process has: none without the variable, or on one machine.

    ``POWERTOOLS_TRACE_DISABLED`` is Powertools' own switch; a worker has it, since it has no X-Ray.
    """
    if os.environ.get("POWERTOOLS_TRACE_DISABLED", "").lower() == "true":
        return "none"
    return os.environ.get("TRACING", "none")


def _name_order(order_id: str | None) -> None:
    """Give the invocation's span, if ADOT's layer has made one, the id of its order.

    The layer has imported OpenTelemetry before the handler, so this imports nothing.
    """
    api: Any = sys.modules.get("opentelemetry.trace")
    if api is not None and order_id is not None:
        api.get_current_span().set_attribute(ORDER_ID, order_id)


def _is_sampled() -> bool:
    """Return whether X-Ray samples this invocation (X-Ray, tracing header)."""
    return "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", "")


@cache
def _traced(handler: Handler) -> Handler:
    """Wrap a handler in X-Ray's tracer; only a sampled invocation imports it.

    By default the tracer keeps each answer in the trace (Powertools, "Tracer"). An answer has
    personal data, and one of the hosted console has the cookie of a session.
    """
    from aws_lambda_powertools import Tracer

    traced: Handler = Tracer().capture_lambda_handler(handler, capture_response=False)
    return traced
