"""What many runs say together: tables, intervals, comparisons and pictures, from the files of their directories alone. No torch."""
