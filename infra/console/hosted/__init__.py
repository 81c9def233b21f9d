"""The console of a stack as a Lambda function behind an HTTP API."""
