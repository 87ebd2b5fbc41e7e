"""One self-contained HTML file: claims, tables, figures, methods, unknowns, how to run it again."""
