"""Property-based tests: the same bounded examples at every run, or many fresh ones on request.

``pytest tests/unit --hypothesis-profile explore`` looks for what the fixed examples miss.
"""

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]

settings.register_profile(
    "fixed", derandomize=True, deadline=None, database=None, suppress_health_check=SLOW
)
settings.register_profile(
    "explore", max_examples=3_000, deadline=None, database=None, suppress_health_check=SLOW
)
settings.load_profile("fixed")
