"""What a run leaves for people: the page of its rollout and its result card. Import from its modules."""
