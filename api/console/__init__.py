"""`/console/`: read-only pages for people who would rather look. Server-rendered; the live tail alone has a script."""
