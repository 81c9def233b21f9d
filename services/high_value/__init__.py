"""High value: orders that wait for a review by a person."""
