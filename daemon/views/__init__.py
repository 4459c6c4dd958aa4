"""How a terminal shows runs: as a live board, or as plain lines where there is no terminal. Made from run records."""
