"""The command ``lstm-jax``: a file for each subcommand."""
