import { readdirSync, readFileSync } from 'node:fs';

/** Complete component streams as sent by chat servers, by file name. */
export function readCaptures(): Map<string, Buffer> {
  const folder = new URL('../fixtures/captures/', import.meta.url);
  return new Map(readdirSync(folder).map((file) => [file, readFileSync(new URL(file, folder))]));
}
