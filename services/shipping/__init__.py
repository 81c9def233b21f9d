"""Shipping: one shipment an order, at a carrier."""
