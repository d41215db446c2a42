// Returns the percentage of free swap. No value if there is no swap.
var risk = JSON.parse(value);
var swap = risk.swap_total_bytes > 0;
return JSON.stringify(swap ? {value: risk.swap_free_bytes * 100 / risk.swap_total_bytes} : {});
