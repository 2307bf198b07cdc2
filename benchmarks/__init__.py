"""What the engine costs, beside a goal, a floor and, where there is one, what a user would take instead."""
