"""The HTTP surface: probes, status, metrics, the read-only API and the page."""
