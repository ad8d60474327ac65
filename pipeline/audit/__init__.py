"""From a million rows to what is wrong with a model: report, comparison and overlays after the fact.

All is read from the statistics table, without the model; only controls and faithfulness ask the model again.
"""
