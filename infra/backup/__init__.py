"""Backups of a data directory: its two databases and its bucket in one archive, whole and checked.

Both databases are read as of one moment: the partners' may know more of an order in flight, and
never less. Of the bucket, the archive has the files that the journal of that moment calls
delivered; what was still to be delivered then is delivered after a restore.
"""
