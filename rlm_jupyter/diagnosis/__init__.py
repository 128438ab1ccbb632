"""What stands out in a run that has ended: findings with figures and a next step, from its events alone."""
