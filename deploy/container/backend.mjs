/** A backend that prints each event. Replace it with your own: docs/guides/receiver.md. */
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

createServer(async (request, response) => {
  const body = await text(request);
  process.stdout.write(`${request.headers['webhook-id']} ${body}\n`);
  response.writeHead(204).end();
}).listen(8000);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
