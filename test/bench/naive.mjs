/**
 * The pusher that a user would write instead: a component socket, a parser, and a POST for each message. It has no spool, no
 * retries and no order, and acknowledges a stanza before it has been delivered. Plain JavaScript, so that no compiler slows it down.
 *
 * node naive.mjs COMPONENT-PORT BACKEND-ORIGIN
 */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { SaxesParser } from 'saxes';
import { Pool } from 'undici';

const [port, backend] = process.argv.slice(2);
const pool = new Pool(backend, { connections: 50 });
const headers = { 'content-type': 'application/x-www-form-urlencoded' };
const parser = new SaxesParser();
const socket = connect(Number(port), '127.0.0.1').setNoDelay().setEncoding('utf8');
let tap; // attributes of <tap/> of the current item
let message; // attributes of the forwarded message
let text = '';
let body = '';

parser.on('opentag', ({ name, attributes }) => {
  if (name === 'stream:stream') socket.write(`<handshake>${createHash('sha1').update(`${attributes.id}s3cret`).digest('hex')}</handshake>`);
  else if (name === 'tap') tap = attributes;
  else if (name === 'message' && tap !== undefined) message = attributes;
  text = '';
});
parser.on('text', (piece) => {
  text += piece;
});
parser.on('closetag', ({ name }) => {
  if (name === 'handshake') resume();
  else if (name === 'body') body = text;
  else if (name === 'forwarded') received();
});
socket.on('data', (chunk) => parser.write(chunk));
socket.write(
  "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='pusher.localhost'>",
);

function resume() {
  ask("<resume xmlns='urn:x-event-pusher:tap:1' epoch='' h='0' want='message'/>");
  process.send?.('ready');
}

function received() {
  if (tap.dir === 'in' && message.type === 'chat' && body !== '') void push(message, body);
  if (Number(tap.seq) % 100 === 0) ask(`<ack xmlns='urn:x-event-pusher:tap:1' epoch='${tap.epoch}' h='${tap.seq}'/>`);
  tap = undefined;
  body = '';
}

function ask(content) {
  socket.write(`<iq type='set' from='pusher.localhost' to='localhost' id='1'>${content}</iq>`);
}

async function push({ from, to }, message) {
  const [author, rest] = from.split('@');
  const form = new URLSearchParams({ author, server: rest.split('/')[0], receiver: to.split('@')[0], message }).toString();
  const response = await pool.request({ method: 'POST', path: '/webservice/notifications', headers, body: form });
  await response.body.dump();
}
