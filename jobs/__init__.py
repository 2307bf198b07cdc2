"""What this project runs: its tables, and the entry points that spark-submit takes."""
