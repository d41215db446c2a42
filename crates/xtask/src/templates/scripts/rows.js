// Returns the objects by name, the largest first, and whether each has a limit. The last row exists for the filter, which fails on an empty list.
var LONGEST = 80;

function row(object) {
    var name = object[NAME];
    var short = name.length > LONGEST ? '...' + name.slice(-LONGEST) : name;
    return {name: name, short: short, limited: LIMIT in object ? 1 : 0, none: 0};
}

var rows = JSON.parse(value).map(row);
rows.push({name: '', none: 1});
return JSON.stringify(rows);
