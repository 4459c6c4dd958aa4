"""What can be configured, where each value comes from, and how it is shown.

`model` is the whole, `source`, `log`, `attributing` and `outlets` are its tables in the order that data takes, `values`
what they are written in. `loading` reads it from file, environment and flags, `rendering` writes it again.
"""
