"""A Terraform module that deploys the built template as one CloudFormation stack."""
