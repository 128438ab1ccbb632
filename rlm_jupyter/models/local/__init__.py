"""Model servers on this machine: found, read with suspicion, remembered, and sent no more than they take."""
