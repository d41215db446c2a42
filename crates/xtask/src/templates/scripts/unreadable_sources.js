// Returns the sources that cannot be read, with reason and remedy.
var closed = JSON.parse(value).sources.filter(function (source) {
    return !source.readable;
});
return closed.map(function (source) {
    var remedy = source.remedy ? ' (' + source.remedy + ')' : '';
    return (source.path || source.name) + ': ' + source.reason + remedy;
}).join('\n') || 'none';
