"""Bridge, worker and broker killed -9 at seeded moments, and every count and run held to those of a life in peace.

`campaign` is one setting held to a recount, `parts` plan how each process ends, `fuses` burn inside a step, `lives` are
the processes, `people` produce on a real PDS, `report` keeps rows and writes the tables.
"""
