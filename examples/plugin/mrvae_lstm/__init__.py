"""A plug-in for mrvae_zoo: the architecture mrvae_lstm, the data set bars, and two recipes."""
