// Returns the warnings, one per line.
return (JSON.parse(value).warnings || []).join('\n') || 'none';
