/**
 * A program unit: reads records of an eight-digit price and a name, and writes lines. It is independent of HTTP.
 * @type {import('xmpp-event-pusher/callbacks').ProgramUnit}
 */
export default async function orderUnit({ mget, mput, acc }) {
  let total = 0;
  for (let record = await mget(); record !== undefined; record = await mget()) {
    const text = record.toString();
    total += Number(text.slice(0, 8));
    mput(`${text.slice(8)}: ${euros(Number(text.slice(0, 8)))}`);
  }
  mput(`order ${acc.ca.number} comes to ${euros(total)}`);
}

function euros(cents) {
  return `${(cents / 100).toFixed(2)} €`;
}
