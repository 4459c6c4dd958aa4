"""A day of the network, as fast as it goes: `day` makes and feeds it, `recount` counts it anew, `campaign` watches.

`report` and `curve` write what was seen.
"""
