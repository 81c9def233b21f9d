"""Payments: one charge an order, kept in a ledger before and after the gateway is asked."""
