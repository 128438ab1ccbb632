"""The sandbox from outside: its policy, and who watches it. Runs in the notebook's process."""
