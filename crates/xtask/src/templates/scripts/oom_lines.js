// Returns the reports of one scope as lines, the newest first. The last line exists for the filter, which fails on an empty list.
var MEBIBYTE = 1048576;

function clean(text) {
    return String(text).replace(/[;\x00-\x1f]/g, '?');
}

function field(name, content) {
    return content === undefined || content === null ? '' : '; ' + name + '=' + clean(content);
}

function victim(report) {
    if (!report.victims || report.victims.length === 0) {
        // systemd reports the service, but none of its processes.
        return report.panic ? 'kernel panic' : report.unit ? clean(report.unit) : 'victim unknown';
    }
    var first = report.victims[0];
    var text = clean(first.name === undefined ? '?' : first.name) + ' (pid ' + first.pid;
    text += first.uid === undefined ? '' : ', uid ' + first.uid;
    text += first.anon_rss_bytes === undefined ? '' : ', ' + Math.round(first.anon_rss_bytes / MEBIBYTE) + ' MiB';
    text += report.kills > 1 ? ', +' + (report.kills - 1) : '';
    return text + ')' + (report.panic ? ' and kernel panic' : '');
}

function line(report) {
    return victim(report) + field('unit', report.unit) + field('killer', report.killer)
        + field('source', report.sources && report.sources.join(',')) + field('trust', report.trust)
        + field('time', report.time) + field('invoked_by', report.invoked_by) + field('cgroup', report.cgroup);
}

var lines = JSON.parse(value).filter(function (report) {
    return (report.constraint === 'memcg') === MEMCG;
}).map(function (report) {
    return {line: line(report), none: 0};
});
lines.push({line: 'none', none: 1});
return JSON.stringify(lines);
