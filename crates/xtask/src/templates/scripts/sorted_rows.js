// Returns the rows in order of their names, so that unchanged rows are discarded.
var rows = JSON.parse(value).filter(function (row) {
    return row.none === 0;
});
return JSON.stringify(rows.sort(function (a, b) {
    return a.name < b.name ? -1 : 1;
}));
