"""The console: pages for a browser at ``/console/``; ``README.md`` has the contract of a page."""
