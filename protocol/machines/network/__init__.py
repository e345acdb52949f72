"""Between P and D: unordered, lossy, duplicating messages; D's insertion and monitor; crash and restart."""
