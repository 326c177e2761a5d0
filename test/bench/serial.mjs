/**
 * The fastest a lane could be with undici: one request after the other, each when the response to the one before has been read. Reports
 * the rate to its parent.
 *
 * node serial.mjs BACKEND-ORIGIN REQUESTS
 */
import { Client } from 'undici';

const [origin, count] = process.argv.slice(2);
const client = new Client(origin);
const headers = { 'content-type': 'application/x-www-form-urlencoded' };

async function push(number) {
  const body = `author=user1&server=localhost&receiver=peer1&message=${number}+and+some+words`;
  const response = await client.request({ method: 'POST', path: '/webservice/notifications', headers, body });
  await response.body.dump();
}

for (let number = 0; number < count / 5; number += 1) await push(number); // until V8 has compiled it
const began = performance.now();
for (let number = 0; number < count; number += 1) await push(number);
process.send?.((1000 * count) / (performance.now() - began));
await client.close();
process.disconnect?.();
