"""What an order costs on AWS: what a run did, a declared model of AWS, and its list prices.

`usage` reads from the journal what an order of the happy path did; `deployment` says what the
template and AWS make of that (memory, batches, durations, DynamoDB's units); `bill` multiplies by
`prices`.
"""
