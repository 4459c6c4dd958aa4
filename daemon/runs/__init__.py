"""One run: a closed window goes through the engine and out as records, tombstones and a run record."""
