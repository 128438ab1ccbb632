"""Charts of agents as the notebook has them: pictures written anew, specifications checked."""
