"""What the scripts do: `run` of the module that is called like the script takes its job.

A script's settings are checked before its module is imported here, so `--help` and a typo need not wait for torch and
mlflow. The work itself belongs in the rings above; a command puts it together, tracks it and prints.
"""
