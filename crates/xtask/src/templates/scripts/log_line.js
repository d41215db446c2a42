// Returns the last matching line with its number, because two lines may be equal. No value if the log cannot be read.
var last = JSON.parse(value);
if (last.readable === false) {
    return '{}';
}
return JSON.stringify({value: last.count > 0 ? (last.count + ': ' + last.line).substring(0, 255) : 'none'});
