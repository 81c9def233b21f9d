"""The error of a request that the engine will not answer."""


class Stopped(Exception):
    """The engine has failed and will answer no request."""
