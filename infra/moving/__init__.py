"""Moving over: orders, ledger, stock, marks and events from one place to another, by a file.

A place is a data directory of one machine, or a DynamoDB table of AWS. What is on its way is not
carried: runs, timers and messages. Orders in flight are taken up by the new place's reconciler
once their leases have run out, so the old place must run no more.
"""
