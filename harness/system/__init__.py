"""Services of the operating system: atomic files, locks, processes, and loading of libraries."""
