"""Settings, declared once, and what is made of the table. Runs in the notebook's process."""
