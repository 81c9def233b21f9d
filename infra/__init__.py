"""The one-machine runtime, the `orders` command, and the checks of the AWS deployment."""
