"""A plug-in for mrvae_zoo: an architecture, a gating, a data set, an objective, and two models of the registry."""
