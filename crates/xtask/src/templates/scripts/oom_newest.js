// A value of type character has at most 255 characters.
return JSON.parse(value)[0].line.substring(0, 255);
