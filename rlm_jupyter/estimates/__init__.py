"""What a run will cost and take, from the logs of runs alike."""
