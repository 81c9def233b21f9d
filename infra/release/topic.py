"""The topic of the alarms: CloudWatch must be able to publish to it.

Sources: AWS re:Post, "Why didn't I receive an SNS notification for my CloudWatch alarm trigger?"
and "How do I configure a CloudWatch alarm to use an encrypted SNS topic?".
"""

from typing import Any

from botocore.exceptions import ClientError

from infra.release.stage import ReleaseError, Stage
from infra.release.validation import DENIED

OWN_KEY = "alias/aws/sns"
"""The key of SNS, whose policy does not let CloudWatch use it and cannot be changed."""


def check_topic(stage: Stage, topics: Any) -> str:
    """Return a line about the topic of the alarms.

    Parameters
    ----------
    stage : Stage
        The stage; without the parameter AlarmTopic there is nothing to check.
    topics : Any
        boto3's client of SNS.

    Raises
    ------
    ReleaseError
        The topic is of another region, does not exist, or is encrypted with SNS's own key.
    """
    arn = stage.parameters.get("AlarmTopic", "")
    if not arn:
        return "alarms: no topic is notified (AlarmTopic)"
    region = arn.split(":")[3]
    if region != stage.region:
        raise ReleaseError(
            f"AlarmTopic: {arn} is of {region}, and an alarm of {stage.region} cannot notify it;"
            f" make a topic in {stage.region}"
        )
    try:
        attributes = topics.get_topic_attributes(TopicArn=arn)["Attributes"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in DENIED or "AuthorizationError" in code:
            return f"alarms: {arn} (not checked: you may not call sns:GetTopicAttributes)"
        raise ReleaseError(f"AlarmTopic: {arn}: {error.response['Error']['Message']}") from None
    if str(attributes.get("KmsMasterKeyId", "")).endswith(OWN_KEY):
        raise ReleaseError(
            f"AlarmTopic: {arn} is encrypted with {OWN_KEY}, which CloudWatch may not use; encrypt"
            " it with a key of yours whose policy allows cloudwatch.amazonaws.com"
            " kms:Decrypt and kms:GenerateDataKey*, or not at all"
        )
    return f"alarms: {arn}"
