"""Inventory: stock on hand, reservations, and shipped units."""
