"""Better `instructions` from examples with known answers: candidates by reflection, chosen on examples held out."""
