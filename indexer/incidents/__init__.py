"""What precedents are made of: who had what when, what surprises, what followed."""
