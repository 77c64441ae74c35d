"""What a run is told: its fields, recipes, and published figures."""
