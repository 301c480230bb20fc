"""A plug-in for mrvae_zoo: the architecture mrvae_lstm, the data set bars, the objective free_nats, and two recipes."""
