"""Training: recipes, objectives, the loop, the folder of a run."""
