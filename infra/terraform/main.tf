# The built template as one CloudFormation stack. This module describes no resource of Orderflow: the
# template does, and `terraform plan` shows a change of it as a change of template_url.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "stack_name" {
  description = "Name of the stack; at most 32 characters, in lower case."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,31}$", var.stack_name))
    error_message = "stack_name is a letter, then letters, digits or hyphens, in lower case, 32 at most."
  }
}

variable "template_url" {
  description = "https address of the packaged template in a bucket of the stack's region."
  type        = string

  validation {
    condition     = can(regex("^https://", var.template_url))
    error_message = "template_url is an https address in S3, not s3://."
  }
}

variable "tags" {
  description = "Tags of the stack and of its resources, for cost allocation."
  type        = map(string)
  default     = { project = "orderflow" }
}

resource "aws_cloudformation_stack" "orderflow" {
  name         = var.stack_name
  template_url = var.template_url
  parameters   = local.parameters
  tags         = var.tags

  # roles, and the transform of the Serverless Application Model
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
}
