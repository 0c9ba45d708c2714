"""Scores of answers, and how far they are to be believed: calibration, abstention, baselines, transfer."""
