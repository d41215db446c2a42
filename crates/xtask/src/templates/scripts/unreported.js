// Returns the number of kills since boot that the kernel counted and no source reported. No value if the kernel has no counter.
var counts = JSON.parse(value).counts;
var counted = counts.kernel !== null && counts.kernel !== undefined;
return JSON.stringify(counted ? {value: Math.max(0, counts.kernel - counts.reported)} : {});
