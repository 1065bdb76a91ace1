"""What the operating system gives: files that appear whole, locks, processes, and libraries that load."""
