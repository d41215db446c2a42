// What cannot be read, and what would make it readable.
var closed = JSON.parse(value).sources.filter(function (source) {
    return !source.readable;
});
return closed.map(function (source) {
    var mend = source.mend ? ' (' + source.mend + ')' : '';
    return (source.path || source.name) + ': ' + source.why + mend;
}).join('\n') || 'none';
