"""A stack on AWS, as the `orders` command sees it: found by its name, asked through boto3."""
