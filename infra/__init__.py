"""What hosts and operates the services."""
