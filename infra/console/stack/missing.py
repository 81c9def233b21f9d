"""The features that a deployed stack lacks, each with a sentence that says so."""

from collections.abc import Mapping

from infra.console.page import Feature

MISSING: Mapping[Feature, str] = {
    Feature.DIRECTORY: "A stack has no data directory, so this page is of one machine alone.",
    Feature.JOURNAL: (
        "AWS keeps no journal of the bus: a query reads an event in the analysts' files, some"
        " minutes after it arrived."
    ),
    Feature.STATES: (
        "Step Functions keeps no history of an EXPRESS run: a state is drawn as visited if the"
        " order's timeline has its effect. Others may have been visited too."
    ),
    Feature.MAIL: "SES has sent it, and keeps no copy.",
    Feature.GATEWAY: "not read here; orders audit compares it with the ledger",
    Feature.REVEAL: (
        "A stack keeps no record of a look, so commands alone show it: orders show, and orders"
        " dead-letters show."
    ),
    Feature.JOBS: "An action on a stack's dead letters is done at once, so there are no jobs.",
    Feature.LIST: (
        "The table has no index by time: this list has the open orders, or those of a customer. A"
        " query finds the others."
    ),
    Feature.SEARCH: (
        "A stack finds an order by its whole id and by its customer: its table has no index of"
        " other ids."
    ),
    Feature.FORECAST: (
        "No operation of AWS reads an archive, so a replay has no forecast by order: these are the"
        " events that each rule matched in the range, by CloudWatch. Known orders are left"
        " unchanged."
    ),
    Feature.PACE: "EventBridge replays at its own speed, and can cancel a replay, not pause it.",
    Feature.ACTIVITY: (
        "AWS CloudTrail records who called AWS. The stack records an operator's action in the story"
        " of its order, and an operation on a dead letter for 14 days, below."
    ),
}
