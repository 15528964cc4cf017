"""What runs in the peers' own environment: one program for each peer. None imports headrace or a package it needs."""
