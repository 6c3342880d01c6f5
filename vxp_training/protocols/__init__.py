"""The published ways of asking: which frames are queries, which are the map, what counts as found.

A protocol turns an annotation into trials (trial.py); evaluate.py answers them. One file per protocol.
"""
