// Kills of this boot that the kernel counted and no report told of; nothing where the kernel does not count.
var counts = JSON.parse(value).counts;
var counted = counts.kernel !== null && counts.kernel !== undefined;
return JSON.stringify(counted ? {value: Math.max(0, counts.kernel - counts.reported)} : {});
