"""What policies share that plan a chunk of commands at a time; each of them is a package of its own beside this one."""
