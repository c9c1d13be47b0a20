"""One file per cell or family. `seqlab.registry` finds each `@register_cell("name")` here by reading the files."""
