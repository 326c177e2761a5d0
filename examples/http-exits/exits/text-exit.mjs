/**
 * A message as lines of text: the sender, the receiver, and the text. PUSH takes JIDs, so the host is appended to names.
 * @type {import('xmpp-event-pusher/callbacks').HttpExit}
 */
export default function textExit(par) {
  if (par.ioIndicator === 'I') readMessage(par);
  else tellId(par);
}

const host = 'chat.example';
const tooShort = 26;

function readMessage(par) {
  const [author, receiver, ...lines] = par.getRequestBody().toString().split('\n');
  if (lines.length === 0) {
    par.retcode = tooShort; // the client gets 500 with HX1A, and nothing is pushed
    return;
  }
  par.putMgetMessage(`${author}@${host}`);
  par.putMgetMessage(`${receiver}@${host}`);
  par.putMgetMessage(lines.join('\n'));
}

function tellId(par) {
  par.putHeader('content-type', 'text/plain; charset=utf-8');
  par.putResponseBody(`pushed as ${par.getMputMessage(0)}\n`);
}
