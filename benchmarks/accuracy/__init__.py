"""Accuracy on real data: the protocols of the tables, three seeds, mean and spread, one command."""
