"""What `ddpm-edu` can do: one module per command, loaded when the command is called."""
