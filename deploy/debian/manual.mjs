/** Makes the manual page from the usage: `event-pusher --help | node manual.mjs VERSION DATE > event-pusher.1`. */
import { text } from 'node:stream/consumers';

const [version = '', date = ''] = process.argv.slice(2);
const usage = await text(process.stdin);
const commands = [...usage.matchAll(/^ {2}(\S.*)\n {6}(\S.*)$/gm)].map(([, synopsis = '', description = '']) => ({
  synopsis,
  description,
}));
const words = [...usage.matchAll(/^([A-Z]+): +((?:.*\n)(?: {9}.*\n)*)/gm)].map(([, word = '', meaning = '']) => ({
  word,
  meaning: meaning.replaceAll(/\s+/g, ' ').trim(),
}));
if (commands.length === 0 || words.length === 0) throw new Error('standard input is not the usage of event-pusher');

process.stdout.write(`.TH EVENT\\-PUSHER 1 "${date}" "event\\-pusher ${escaped(version)}" "User Commands"
.SH NAME
event\\-pusher \\- push the messages of an XMPP server to HTTP backends
.SH SYNOPSIS
.B event\\-pusher
.I COMMAND
[\\fIOPTIONS\\fR]
.SH DESCRIPTION
The program attaches to a chat server (Prosody, ejabberd, MongooseIM or another one), and sends an HTTP request for each message that matches a rule, at
least once, in order, with retries. One command runs the service; the others prepare, query and control it.
.SH COMMANDS
${commands.map(({ synopsis, description }) => paragraph(`\\fB${escaped(synopsis).replace(/ (?=[A-Z[\\])/, '\\fR ')}\\fR`, description)).join('')}\
.PP
Each command takes \\fB\\-\\-help\\fR. \\fB\\-\\-version\\fR prints the version.
.SS Words in capitals
${words.map(({ word, meaning }) => paragraph(`\\fI${word}\\fR`, meaning)).join('')}\
.SH ENVIRONMENT
${paragraph('\\fBEVENT_PUSHER_CONFIG\\fR', 'The configuration file. The command of the Debian package sets /etc/event-pusher/event-pusher.toml if it is not set.')}\
.SH FILES
${paragraph('\\fI/etc/event\\-pusher/event\\-pusher.toml\\fR', 'The configuration. The service is not started without it.')}\
${paragraph('\\fI/etc/event\\-pusher/environment\\fR', 'Lines NAME=value: secrets to which the configuration refers.')}\
${paragraph('\\fI/var/lib/event\\-pusher\\fR', 'The spool, which contains undelivered events and dead letters, and the history.')}\
.SH EXIT STATUS
0 for success, 1 for a failure, and 2 for wrong usage.
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1)
.PP
The documentation is in /usr/share/doc/event\\-pusher.
`);

/** @param {string} head @param {string} body */
function paragraph(head, body) {
  return `.TP\n${head}\n${escaped(body)}\n`;
}

/** Escapes a line for groff. @param {string} line */
function escaped(line) {
  return line
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&');
}
