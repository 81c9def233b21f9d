"""The one port of ``orders serve``: the HTTP API, and AWS's own clients, in front of the engine."""
