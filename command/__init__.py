"""The commands, a file each: they read arguments, call one of the three readers and print what it answers.

Heavy imports are inside the functions, so that `interlock list` and a small check answer at once.
"""
