/**
 * Converts a ticket of the help desk to a message from the user who opened it. PUSH takes a sender, a receiver and a text.
 * @type {import('xmpp-event-pusher/callbacks').HttpExit}
 */
export default function ticketExit(par) {
  if (par.ioIndicator === 'I') readTicket(par);
  else tellId(par);
}

const incomplete = 26;

function readTicket(par) {
  const { id, opened_by: author, text } = JSON.parse(par.getRequestBody().toString());
  if (id === undefined || author === undefined || text === undefined) {
    par.retcode = incomplete; // the client gets 500 with HX1A, and nothing is pushed
    return;
  }
  par.putMgetMessage(`${author}@localhost`);
  par.putMgetMessage('desk@localhost');
  par.putMgetMessage(`Ticket ${id}: ${text}`);
}

function tellId(par) {
  par.putHeader('content-type', 'application/json');
  par.putResponseBody(JSON.stringify({ pushed: par.getMputMessage(0) }));
}
