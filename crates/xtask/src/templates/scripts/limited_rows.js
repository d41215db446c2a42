// What there is by name, and whether it has a limit: rows that are the same need no new look.
var rows = JSON.parse(value).map(function (row) {
    return {name: row[NAME], limited: row[LIMIT] === undefined ? 0 : 1};
});
return JSON.stringify(rows.sort(function (a, b) {
    return a.name < b.name ? -1 : 1;
}));
