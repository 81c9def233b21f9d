"""Payments: one charge per order, in a ledger before and after the call of the gateway."""
