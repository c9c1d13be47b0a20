"""Sweeps: the name of a job, the records of what became of each, and `seqlab sweep`."""
