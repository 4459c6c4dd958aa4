"""The composition: configuration, supervision, the attribution cycle, publishing, HTTP, metrics, commands."""
