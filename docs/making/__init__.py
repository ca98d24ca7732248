"""Makes the pictures and the generated pages of the docs from the code they tell of: `make pictures`."""
