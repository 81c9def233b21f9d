"""The deployment of a stage: the account's quota, AWS's own checks, protection and deletion."""
