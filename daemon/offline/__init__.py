"""What works on files without a daemon: tables, replays, simulations."""
