"""A plug-in for mrvae_zoo: an architecture, a gating, a data set, two objectives, and two models of the registry."""
