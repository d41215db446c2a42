// What the software itself would warn of, one a line.
return (JSON.parse(value).warnings || []).join('\n') || 'none';
