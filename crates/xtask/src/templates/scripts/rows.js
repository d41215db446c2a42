// What there is by name, the largest first, and whether it has a limit. The last row is there for a filter, which fails without one.
var LONGEST = 80;

function row(of) {
    var name = of[NAME];
    var short = name.length > LONGEST ? '...' + name.slice(-LONGEST) : name;
    return {name: name, short: short, limited: LIMIT in of ? 1 : 0, none: 0};
}

var rows = JSON.parse(value).map(row);
rows.push({name: '', none: 1});
return JSON.stringify(rows);
