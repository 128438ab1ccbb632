"""The embedded demo model: a scripted model that needs no key and no network. Runs in the notebook's process."""
