"""Everything that depends on how ipykernel is made. Runs in an agent's kernel."""
