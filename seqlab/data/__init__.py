"""Data sets, one per file, each a SequenceDataModule that says what it gives in a DataSpec. Knows nothing of models."""
