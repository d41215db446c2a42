// Returns the process with the highest oom_score. No value if processes are hidden.
var candidates = JSON.parse(value).candidates || [];
var names = candidates.map(function (process) {
    return process.name + ' (pid ' + process.pid + ', oom_score ' + process.oom_score + ')';
});
return JSON.stringify(names.length > 0 ? {value: names[0].substring(0, 255)} : {});
