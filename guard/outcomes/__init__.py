"""What happened: what a backup log says, and why a run failed. Names the codes that the checks own."""
