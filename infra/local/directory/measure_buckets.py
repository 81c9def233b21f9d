"""The buckets of the histograms in the table ``measures``."""

BOUNDS = tuple(
    float(f"{digit}e{exponent}") for exponent in range(-3, 6) for digit in (1, 1.5, 2, 3, 5, 7)
)
"""Upper bounds of a histogram's buckets, in seconds: from a millisecond to 8 days."""

UNBOUNDED = len(BOUNDS)
"""The bucket of a value above every bound."""

COUNTED = -1
"""The bucket of a count without a latency."""
