"""Digits laid out anew as people bring them: scans, photographs and drawings, and what is none of one digit."""
