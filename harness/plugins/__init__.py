"""How plug-ins are found, described and read: the registry of their families and the texts of their parameters."""
