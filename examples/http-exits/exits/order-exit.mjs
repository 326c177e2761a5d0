/**
 * Connects a client that sends JSON with a unit that reads records: the exit cuts the message into parts, and renders the parts of the
 * output as a page.
 * @type {import('xmpp-event-pusher/callbacks').HttpExit}
 */
export default function orderExit(par) {
  if (par.ioIndicator === 'I') readOrder(par);
  else renderReceipt(par);
}

const noOrder = 5;

function readOrder(par) {
  const { items } = JSON.parse(par.getRequestBody().toString());
  if (!Array.isArray(items) || items.length === 0) {
    par.retcode = noOrder;
    return;
  }
  par.ca.number = par.getPath().slice('/orders/'.length);
  const records = items.map(({ name, price }) => `${String(price).padStart(8, '0')}${name}`);
  par.putMgetMessage(records.join(''));
  par.structureInfo.nrMsgParts = records.length;
  par.structureInfo.lthMsgParts = records.map((record) => Buffer.byteLength(record));
}

function renderReceipt(par) {
  const rows = par.structureInfo.lthMsgParts.map((_, index) => `<li>${inHtml(par.getMputMessage(index).toString())}</li>`);
  par.putStatus(201);
  par.putHeader('content-type', 'text/html; charset=utf-8');
  par.putHeader('location', par.getPath());
  par.putResponseBody(`<!doctype html><title>Order ${inHtml(par.ca.number)}</title><ul>${rows.join('')}</ul>\n`);
}

function inHtml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
