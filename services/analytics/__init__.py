"""Analytics: events as rows to query, and the daily report drawn from them."""
