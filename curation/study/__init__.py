"""What can be said of the annotations as a whole: agreement, rates, plans."""
