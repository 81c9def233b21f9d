"""The HTTP server of ``orders serve``: one port for the HTTP API and for AWS's own clients."""
