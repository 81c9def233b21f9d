"""The console hosted on AWS: sign-in, and what a function cannot keep in memory."""
