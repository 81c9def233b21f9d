"""TestState: a state that is tested does not hold up the engine's expressions."""

import json
import threading

from infra.asl.queries.client import CLIENT
from infra.server.single_state import answer_test_state

FOREVER = "{% ($f := function($n) { $f($n + 1) }; $f(0)) %}"


def test_a_state_whose_expression_takes_long_leaves_the_engines_process_free() -> None:
    state = {"Type": "Pass", "QueryLanguage": "JSONata", "Output": FOREVER, "End": True}
    engine = CLIENT.get()
    engine.check("1")
    process = engine._process  # noqa: SLF001 - it must be the same one afterwards
    answers = []
    testing = threading.Thread(
        target=lambda: answers.append(answer_test_state({"definition": json.dumps(state)}))
    )
    testing.start()
    evaluated = 0
    while testing.is_alive():
        assert engine.evaluate(["1 + 1"], {}, {}, 0.0, 0.0) == [2]
        evaluated += 1
    assert evaluated > 3
    assert (answers[0]["status"], answers[0]["error"]) == ("FAILED", "States.QueryEvaluationError")
    assert engine._process is process  # noqa: SLF001
    assert CLIENT.get() is engine
