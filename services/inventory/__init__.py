"""Inventory: what is on hand, who has reserved it, and what has left."""
