"""Backups of a data directory: its two databases and its bucket in one archive, whole and checked.

The orders' database is read as of one moment, the sandbox's after it: a partner may know more than
the orders, and never less. Of the bucket, the archive has the files that the journal of that moment
calls delivered; what was still to be delivered then is delivered after a restore.
"""
