"""What is done with frozen curated sets: run directories, the training child, and the page that starts and watches it."""
