"""What classification and regression of sequences have in common: everything but what a label is."""
