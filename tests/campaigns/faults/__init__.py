"""The fault campaign: hosts with every fault we know of, each held to what was sent, record by record.

`wires` speaks the three protocols, `script` says what a host has and what each of its messages means, `rows` are the
faults one by one, `storm` many of them by chance, `people` those of a real PDS; `trial` carries what comes into a log,
and `outcome` holds it to what was sent. `make faults` writes the table to faults.md in the folder above.
"""
