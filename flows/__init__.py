"""One flow a stage, the flow that chains them, and the command line."""
