"""The four stages. A new one is a module here and a line in `STAGES`."""
