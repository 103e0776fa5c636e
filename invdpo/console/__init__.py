"""What a command says: results, notes and errors on the terminal, and a log file."""
