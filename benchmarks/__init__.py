"""What the engine costs, measured against a scripted server, each figure beside its floor of the same run."""
