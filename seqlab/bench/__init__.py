"""`seqlab bench`: every executor of a cell and every peer, measured side by side in one run."""
