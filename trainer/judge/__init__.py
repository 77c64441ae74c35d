"""What a trained network is worth, and its use: evaluation on other data, prediction, refusal.

It works on finished runs and trains nothing; figures as such live in `trainer/metrics`, the look of
pages in `trainer/report`.
"""
