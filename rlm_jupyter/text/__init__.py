"""Text and figures as they are shown: control characters out, units in. Runs in the notebook's process."""
