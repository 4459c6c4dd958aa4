"""The Prometheus metrics: declared once, read from the parts' own counters at the scrape."""
