import { readdirSync, readFileSync } from 'node:fs';

/** Whole component streams as chat servers send them, by file name. */
export function readCaptures(): Map<string, Buffer> {
  const folder = new URL('../fixtures/captures/', import.meta.url);
  return new Map(readdirSync(folder).map((file) => [file, readFileSync(new URL(file, folder))]));
}
