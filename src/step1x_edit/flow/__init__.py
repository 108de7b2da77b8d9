"""The mathematics of rectified flow as pure functions: packing, schedule, guidance, sampler, objective."""
