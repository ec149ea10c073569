"""`tts swebench`: benchmark tasks through strategies, predictions and trajectories out, grades afterwards."""
