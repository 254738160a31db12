"""The outside world, one module for each system: tmux, terminals, SSH, sockets, files."""
