"""What runs the jobs of a sweep: this machine, SLURM, or a Ray cluster."""
