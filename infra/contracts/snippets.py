"""Snippets that a producer copies to send an example: the command line and two SDKs.

They address ``orders serve``, which needs no credentials; the clients do, so they get dummy ones.
On AWS the marked lines are omitted.
"""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from infra.contracts.examples import Example
from infra.contracts.folder import EXAMPLES, FOLDER, slug

ENDPOINT = "http://127.0.0.1:8080"
REGION = "us-east-1"
BUS = "orders-bus"

Envelope = Mapping[str, Any]


def payload(envelope: Envelope) -> str:
    """Return an event as JSON text for a file."""
    return json.dumps(envelope, ensure_ascii=False, indent=2)


def entry(envelope: Envelope) -> dict[str, str]:
    """Return the PutEvents entry of an event."""
    return {
        "EventBusName": BUS,
        "Source": envelope["source"],
        "DetailType": envelope["detail-type"],
        "Detail": json.dumps(envelope["detail"], ensure_ascii=False),
    }


def pattern(envelope: Envelope) -> str:
    """Return the event pattern that matches all events of this type."""
    return json.dumps({key: [envelope[key]] for key in ("source", "detail-type")}, indent=2)


def first_order(example: Example) -> str:
    """Return the commands that set up the platform and process a first order."""
    return (
        "# start the platform; a new data directory gets sample stock\n"
        "orders serve\n\n"
        "# in another terminal: send an order, and show its outcome\n"
        f"orders emit {_path(example)}\n"
        f"orders show {example.envelope['detail']['order_id']}"
    )


def orders_command(example: Example) -> str:
    """Return the commands that check and send an example."""
    path = _path(example)
    return f"orders events validate {path}\norders emit {path}"


def _path(example: Example) -> str:
    return f"{FOLDER.name}/{slug(example.event)}/{EXAMPLES}/{example.name}.json"


def aws_command(envelope: Envelope) -> str:
    """Return the command for the AWS CLI."""
    entries = shlex.quote(json.dumps([entry(envelope)], ensure_ascii=False, indent=2))
    return (
        "# on AWS without the line of --endpoint-url\n"
        "aws events put-events \\\n"
        f"  --endpoint-url {ENDPOINT} --region {REGION} --no-sign-request \\\n"
        f"  --entries {entries}"
    )


def boto3_lines(envelope: Envelope) -> str:
    """Return Python lines for boto3."""
    body = json.dumps(envelope["detail"], ensure_ascii=False, indent=4)
    return f"""import json
import boto3

events = boto3.client(
    "events",
    endpoint_url="{ENDPOINT}",  # not on AWS
    region_name="{REGION}",
    aws_access_key_id="local",  # not on AWS
    aws_secret_access_key="local",  # not on AWS
)
detail = {body}
answer = events.put_events(Entries=[{{
    "EventBusName": "{BUS}",
    "Source": "{envelope["source"]}",
    "DetailType": "{envelope["detail-type"]}",
    "Detail": json.dumps(detail),
}}])
# a call can succeed while an entry fails
if answer["FailedEntryCount"]:
    raise RuntimeError(answer["Entries"])"""


def client_lines(envelope: Envelope) -> str:
    """Return Python lines for the package ``orderflow_client``."""
    body = json.dumps(envelope["detail"], ensure_ascii=False, indent=4)
    return f"""# python -m pip install ./{FOLDER.name}/clients/python
from orderflow_client import OrderPublisher

publisher = OrderPublisher(endpoint_url="{ENDPOINT}")  # on AWS without it
# an invalid event raises InvalidEvent with the field, before anything is sent
[sent] = publisher.publish([("{envelope["detail-type"]}", {body})])
print(sent.event_id, publisher.wait_for(sent).status)"""


def javascript_lines(envelope: Envelope) -> str:
    """Return lines for the AWS SDK for JavaScript v3."""
    body = json.dumps(envelope["detail"], ensure_ascii=False, indent=2)
    return f"""// save as put-event.mjs, or set "type": "module" in package.json
import {{ EventBridgeClient, PutEventsCommand }} from "@aws-sdk/client-eventbridge";

const events = new EventBridgeClient({{
  region: "{REGION}",
  endpoint: "{ENDPOINT}", // not on AWS
  credentials: {{ accessKeyId: "local", secretAccessKey: "local" }}, // not on AWS
}});
const detail = {body};
const answer = await events.send(new PutEventsCommand({{
  Entries: [{{
    EventBusName: "{BUS}",
    Source: "{envelope["source"]}",
    DetailType: "{envelope["detail-type"]}",
    Detail: JSON.stringify(detail),
  }}],
}}));
// a call can succeed while an entry fails
if (answer.FailedEntryCount) throw new Error(JSON.stringify(answer.Entries));"""
