"""From a user's files to batches: sources, radiographs, the prepared data set, the pipeline."""
