"""Shared by all services: contracts of events, order record, statuses, lease, errors."""
