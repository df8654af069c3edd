"""How networks learn: one loop for every task, its progress, and the metrics that judge the outcome."""
