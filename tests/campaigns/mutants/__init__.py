"""The code itself at fault: mutmut changes it, and the unit tests are to say so, the quickest first."""
