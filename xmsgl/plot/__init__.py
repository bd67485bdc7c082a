"""Pictures of networks and series."""
