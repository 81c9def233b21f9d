"""Moves of orders, ledger, stock, marks and events from one place to another in an export file.

A place is a data directory of one machine, or a DynamoDB table of AWS. Pending runs, events and
messages of a directory are exported (`infra.moving.in_flight`); timers are not. The reconciler of
the new place resumes orders in flight once their leases have ended, so the old place must not run
any more.
"""
