"""A stack on AWS, found by its name and read through boto3."""
