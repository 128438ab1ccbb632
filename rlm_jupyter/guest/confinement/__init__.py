"""The sandbox from inside: files, system calls, memory, network. Runs in an agent's kernel."""
