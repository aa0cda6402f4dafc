"""What the project is worked on with; none of it is in the wheel."""
