"""Cells for seqlab."""
