// Imported first: stdout carries the ready line alone, whatever the stack has to say goes to stderr.
for (const level of ["log", "info", "debug", "warn"]) console[level] = console.error.bind(console);
