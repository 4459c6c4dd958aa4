"""What can be configured, where each value comes from, and how it is shown."""
