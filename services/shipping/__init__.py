"""Shipping: one shipment per order, at a carrier."""
