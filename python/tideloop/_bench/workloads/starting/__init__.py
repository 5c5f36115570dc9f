"""What a short program pays before it does anything: whole processes."""
