"""Backups of a data directory: its two databases and its bucket in one verified archive.

Both databases are read as of one moment: the partners' database may have more of an order in
flight, never less. The archive has those files of the bucket that the journal of that moment
records as delivered; pending deliveries are made after a restore.
"""
