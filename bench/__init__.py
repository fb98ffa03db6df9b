"""What script/bench runs: cloudlet, its peers and the machine's limits, in one run."""
