"""Long tests: the daemon's processes under faults, for as long as it takes to believe them.

Each campaign has a short form that pytest runs (marker `campaign`) and a long one with a make target that writes its
table beside it. All are seeded: the same seed plans the same faults. In `mutants` the code itself is at fault, and the
unit tests are to say so; they are its short form.
"""
