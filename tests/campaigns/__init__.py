"""Long tests: the daemon's processes under faults, for as long as it takes to believe them.

Mutation runs (`make mutants`) turn it round: there the code is at fault, and the unit tests are to say so.

Each other campaign has a short form that pytest runs (marker `campaign`) and a long one with a make target that writes its
table beside it. All are seeded: the same seed plans the same faults.
"""
