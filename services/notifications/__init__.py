"""Notifications: the mails to customers."""
