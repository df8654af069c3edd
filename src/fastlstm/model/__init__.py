"""Networks, from batches to outputs: inputs, trunk, decoder, heads."""
