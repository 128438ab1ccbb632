"""A run's log: writing, loading, replay and export."""
