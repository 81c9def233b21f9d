"""The cost of an order on AWS: the usage of a run, a declared model of AWS, and its list prices.

`usage` reads the usage of an order on the happy path from the journal; `deployment` models the
template and AWS (memory, batches, durations, DynamoDB's units); `bill` multiplies by `prices`.
"""
