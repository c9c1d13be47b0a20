"""What is drawn of a run, besides its learning curve."""
