// Returns only the names in order, so that unchanged rows are discarded.
var rows = JSON.parse(value).map(function (row) {
    return row.name;
});
return JSON.stringify(rows.sort().map(function (name) {
    return {name: name};
}));
