// Returns only the values in order, so that unchanged rows are discarded.
var rows = JSON.parse(value).map(function (row) {
    return row.value;
});
return JSON.stringify(rows.sort().map(function (text) {
    return {value: text};
}));
