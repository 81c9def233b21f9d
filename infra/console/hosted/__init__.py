"""The console hosted on AWS: its function, its sign-in, and the state that containers share."""
