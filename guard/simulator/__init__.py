"""A simulated Xen Orchestra: a world of pools and backup jobs that acts, behind XO's own REST and JSON-RPC faces.

It produces XO's JSON, never guard's records, and uses none of guard's formulas: where guard computes, it acts.
"""
