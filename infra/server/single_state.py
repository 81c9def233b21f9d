"""The operation TestState: one state with a mocked answer, as `infra.asl.single_state` runs it.

Source: TestState in the AWS Step Functions API Reference. A Task calls nothing here, so that a
test has no effect on orders: it needs ``mock``. Its JSONata has a process of its own, so that a
slow expression does not hold up the engine's.
"""

import json
from collections.abc import Mapping
from typing import Any

from infra.asl import DefinitionError
from infra.asl.queries.client import Client
from infra.asl.single_state import NUMBERS, Given, MissingAnswer, run_state
from infra.errors import InvalidRequest
from infra.local.template.task_parameters import PARAMETERS
from kernel import clock
from kernel.json_text import InvalidJSON, read

_LEVELS = ("INFO", "DEBUG", "TRACE")
_USED = {
    *("definition", "input", "inspectionLevel", "mock", "variables", "context", "stateName"),
    *("stateConfiguration", "roleArn", "revealSecrets"),
}


_SETTINGS = {"retrierRetryCount", "errorCausedByState"}

_CLIENT = Client()


def answer_test_state(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of TestState; raise InvalidRequest for an invalid request.

    It may take seconds, and any thread may call it.
    """
    return _CLIENT.run(_answer, request)


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    unknown = request.keys() - _USED
    if unknown:
        raise InvalidRequest("ValidationException", f"{min(unknown)} is not supported")
    level = request.get("inspectionLevel", "INFO")
    if level not in _LEVELS:
        raise InvalidRequest("ValidationException", f"inspectionLevel: one of {', '.join(_LEVELS)}")
    definition, data = _value(request, "definition", None), _value(request, "input", {})
    name, state, language, is_of_map = _state(definition, request.get("stateName"))
    settings = request.get("stateConfiguration") or {}
    unknown = settings.keys() - _SETTINGS if isinstance(settings, dict) else set()
    if unknown:
        message = f"stateConfiguration.{min(unknown)} is not supported"
        raise InvalidRequest("ValidationException", message)
    retries = settings.get("retrierRetryCount", 0) if isinstance(settings, dict) else None
    if type(retries) is not int or retries < 0:
        raise InvalidRequest("ValidationException", "retrierRetryCount is a number from 0")
    try:
        result = run_state(
            name,
            state,
            data,
            given=_given(request.get("mock")),
            context=_context(request, data, is_of_map=is_of_map),
            variables=_object(request, "variables"),
            language=language,
            retries=retries,
            now=clock.now(),
            integrations=PARAMETERS,
        )
    except DefinitionError as error:
        message = f"Invalid State Machine Definition: '{error}'"
        raise InvalidRequest("InvalidDefinition", message) from None
    except MissingAnswer as error:
        raise InvalidRequest("ValidationException", f"{error} in mock") from None
    found = {"nextState": result.next_state, "error": result.error, "cause": result.cause}
    answer = {"status": result.status}
    answer |= {field: value for field, value in found.items() if value is not None}
    if result.status in ("SUCCEEDED", "CAUGHT_ERROR"):
        answer["output"] = _text(result.output)
    return answer if level == "INFO" else {**answer, "inspectionData": _inspection(result)}


def _inspection(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        step: value if step in NUMBERS else _text(value) for step, value in result.steps.items()
    }
    if result.variables:
        found["variables"] = _text(result.variables)
    details: dict[str, Any] = {}
    if result.handler is not None:
        index = "retryIndex" if result.status == "RETRIABLE" else "catchIndex"
        details[index] = result.handler
    if result.retry_seconds is not None:
        details["retryBackoffIntervalSeconds"] = int(result.retry_seconds)
    if details:
        found["errorDetails"] = details
    return found


def _context(request: Mapping[str, Any], data: Any, *, is_of_map: bool) -> dict[str, Any]:
    """Return the Context object; a state within a Map has the first item by default."""
    given = _object(request, "context")
    if not is_of_map or given:
        return given
    return {"Map": {"Item": {"Index": 0, "Value": data}}}


def _state(definition: Any, name: Any) -> tuple[str, Any, str, bool]:
    """Return a state with its name, its query language, and whether it is within a Map.

    It is the definition itself, or the named state of a whole state machine.
    """
    if not isinstance(definition, dict):
        raise InvalidRequest("InvalidDefinition", "the definition is not a JSON object")
    if name is not None and not isinstance(name, str):
        raise InvalidRequest("ValidationException", "stateName is a text; send a state's name")
    language = str(definition.get("QueryLanguage", "JSONPath"))
    if "States" not in definition:
        return str(name or "State"), definition, language, False
    found = _named(definition, name, is_of_map=False)
    if found is None:
        raise InvalidRequest("ValidationException", "stateName names no state of the definition")
    return str(name), found[0], language, found[1]


def _named(part: Any, name: Any, *, is_of_map: bool) -> tuple[Any, bool] | None:
    """Return a state of a definition or of its parts, and whether it is within a Map."""
    states = part.get("States") if isinstance(part, dict) else None
    if not isinstance(states, dict):
        return None
    if name in states:
        return states[name], is_of_map
    for state in states.values():
        if not isinstance(state, dict):
            continue
        branches = state.get("Branches")
        inner = [(each, is_of_map) for each in (branches if isinstance(branches, list) else ())]
        inner += [(state[key], True) for key in ("ItemProcessor", "Iterator") if key in state]
        for each, within in inner:
            if (found := _named(each, name, is_of_map=within)) is not None:
                return found
    return None


def _given(mock: Any) -> Given | None:
    if mock is None:
        return None
    if not isinstance(mock, dict) or ("result" in mock) is ("errorOutput" in mock):
        raise InvalidRequest("ValidationException", "mock has either result or errorOutput")
    if "result" in mock:
        return Given(_value(mock, "result", None))
    error = mock["errorOutput"]
    if not isinstance(error, dict) or not isinstance(error.get("error"), str):
        raise InvalidRequest("ValidationException", "mock.errorOutput.error is a text")
    return Given(error=error["error"], cause=str(error.get("cause", "")))


def _object(request: Mapping[str, Any], field: str) -> dict[str, Any]:
    value = _value(request, field, {})
    if not isinstance(value, dict):
        raise InvalidRequest("ValidationException", f"{field} is the JSON text of an object")
    return value


def _value(request: Mapping[str, Any], field: str, default: Any) -> Any:
    """Return the value of a field with JSON text."""
    text = request.get(field)
    if text is None and default is not None:
        return default
    try:
        if isinstance(text, str):
            return read(text)
    except InvalidJSON as error:
        raise InvalidRequest("ValidationException", f"{field} is not JSON: {error}") from None
    raise InvalidRequest("ValidationException", f"{field} is JSON text")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
