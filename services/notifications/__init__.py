"""Notifications: what customers are told by mail."""
