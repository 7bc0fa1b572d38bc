"""Sources of motion: each module reads one kind of files and yields rows of the dataset."""
