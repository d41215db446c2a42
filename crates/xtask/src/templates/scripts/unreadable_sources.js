// What cannot be read, and what would make it readable.
var closed = JSON.parse(value).sources.filter(function (source) {
    return !source.readable;
});
return closed.map(function (source) {
    var remedy = source.remedy ? ' (' + source.remedy + ')' : '';
    return (source.path || source.name) + ': ' + source.reason + remedy;
}).join('\n') || 'none';
