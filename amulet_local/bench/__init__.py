"""What realignment costs on this machine and model: measured in one run, never assumed.

The ways to decode (arms) take turns, so that a noisy machine is noisy to all of them; medians and
spread are reported, and every claim is a ratio within the run. Works on the packages below the
engine, which share one loaded model.
"""
