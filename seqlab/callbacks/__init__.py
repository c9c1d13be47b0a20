"""What happens beside training: records, pictures, stops."""
